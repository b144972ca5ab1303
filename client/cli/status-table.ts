/**
 * A server's /status as people read it. Fields that a server does not send are left out, so that the command also works with
 * servers of other versions.
 */
import { table } from './listing.ts';
import { fitForLines } from './terminal.ts';

interface Phase {
  readonly name?: string;
  readonly atMs?: number;
  readonly tookMs?: number;
}

interface DiskSetStatus {
  readonly home?: string;
  readonly role?: string;
  readonly owner?: string | null;
  readonly epoch?: number;
  readonly leaseMsLeft?: number | null;
  readonly port?: number | null;
  readonly phase?: string | null;
  readonly openFailure?: {
    readonly epoch?: number;
    readonly reason?: string;
    readonly message?: string;
  } | null;
}

interface Status {
  readonly server?: string;
  readonly incarnation?: string;
  readonly diskSets?: readonly DiskSetStatus[];
  readonly partner?: {
    readonly name?: string;
    readonly connected?: boolean;
    readonly incarnation?: string | null;
    readonly lastHeartbeatMs?: number | null;
  };
  readonly lastTransition?: {
    readonly kind?: string;
    readonly cause?: string;
    readonly epoch?: number;
    readonly phases?: readonly Phase[];
  } | null;
}

export function statusTable(body: unknown): string {
  const status = fitForLines((typeof body === 'object' && body !== null ? body : {}) as Status);
  const text = [
    `server ${status.server ?? '?'}  (${status.incarnation ?? 'unknown incarnation'})\n`,
    partner(status),
  ];
  const rows = (status.diskSets ?? []).map((each) => [
    each.home ?? '?',
    each.owner ?? 'nobody',
    each.epoch === undefined ? '?' : `${each.epoch}`,
    each.phase ?? each.role ?? '?',
    each.port ? `${each.port}` : 'closed',
    each.leaseMsLeft ? `${Math.round(each.leaseMsLeft)} ms` : '-',
  ]);
  text.push('\n', table([['DISK SET', 'OWNER', 'EPOCH', 'HERE', 'PORT', 'LEASE'], ...rows], [2, 5]));
  for (const { home, openFailure } of status.diskSets ?? []) {
    if (!openFailure) continue;
    const { epoch = '?', reason = '?', message = '' } = openFailure;
    text.push(`\n${home ?? '?'} could not be opened here in epoch ${epoch} (${reason}): ${message}\n`);
  }
  if (status.lastTransition) text.push('\n', transition(status.lastTransition));
  return text.join('');
}

function partner(status: Status): string {
  const { name = 'unknown', connected, incarnation, lastHeartbeatMs } = status.partner ?? {};
  if (connected !== true) return `partner ${name} is not connected: it could not take over now\n`;
  const heard = typeof lastHeartbeatMs === 'number' ? `, heard ${Math.round(lastHeartbeatMs)} ms ago` : '';
  return `partner ${name}  (${incarnation ?? 'unknown incarnation'}${heard})\n`;
}

function transition(last: NonNullable<Status['lastTransition']>): string {
  const cause = last.cause === undefined ? '' : ` (${last.cause})`;
  const phases = (last.phases ?? []).map((each) => [
    `  ${each.name ?? '?'}`,
    each.tookMs === undefined ? '' : `${Math.round(each.tookMs * 10) / 10} ms`,
  ]);
  return `last transition: ${last.kind ?? '?'}${cause}, epoch ${last.epoch ?? '?'}\n${table(phases, [1])}`;
}
