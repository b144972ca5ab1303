/** The table of system call x errno as docs/fileserver-data.md has it. */
import { constants } from 'node:os';
import { nfsstat3Name } from '../../../protocol/nfs3.ts';
import { nfsstat3Of } from '../../nfs3/nfs-status.ts';
import { SYSTEM_CALLS, type SystemCall } from '../../system/system-calls.ts';
import { isTold, type Outcome, outcomeOf, type Retry } from './errno-outcomes.ts';

// To print it:
//
//   node -e "import('./fileserver/storage/failures/errno-table.fixture.ts').then((m) => console.log(m.errnoTable()))"

const { errno: E } = constants;

const COLUMNS = {
  EIO: E.EIO,
  EROFS: E.EROFS,
  ESTALE: E.ESTALE,
  EACCES: E.EACCES,
  'EMFILE, ENFILE': E.EMFILE,
  ENOMEM: E.ENOMEM,
  ENOSPC: E.ENOSPC,
  EDQUOT: E.EDQUOT,
  EINTR: E.EINTR,
  EAGAIN: E.EAGAIN,
  'any unknown': 4711,
};

const RETRIES: Readonly<Record<Retry, string>> = {
  again: 'again',
  afterMakingRoom: 'room',
  inThePool: 'pool',
  inTheVolumeThread: 'thread',
  withTheReserve: 'reserve',
  nextLook: 'later',
};

const statusName = (outcome: Extract<Outcome, { kind: 'answer' }>['failure']): string =>
  nfsstat3Name(nfsstat3Of(outcome)).replace('NFS3ERR_', '');

function cell(call: SystemCall, errno: number): string {
  const outcome = outcomeOf(call, errno);
  if (outcome.kind === 'fault') return `**${outcome.reason}**`;
  const mark = isTold(call, errno) ? ' !' : '';
  if (outcome.kind === 'answer') return statusName(outcome.failure) + mark;
  const { retry, otherwise } = outcome;
  return `*${RETRIES[retry]}*${otherwise === null ? '' : `, ${statusName(otherwise)}`}${mark}`;
}

/** Calls with the same outcomes share a row. */
export function errnoTable(): string {
  const rows = new Map<string, SystemCall[]>();
  for (const call of SYSTEM_CALLS) {
    const cells = Object.values(COLUMNS).map((errno) => cell(call, errno));
    const row = cells.join(' | ');
    rows.set(row, [...(rows.get(row) ?? []), call]);
  }
  const names = Object.keys(COLUMNS);
  return [
    `| system call | ${names.join(' | ')} |`,
    `| --- |${' --- |'.repeat(names.length)}`,
    ...Array.from(rows, ([row, calls]) => `| ${calls.join(', ')} | ${row} |`),
  ].join('\n');
}
