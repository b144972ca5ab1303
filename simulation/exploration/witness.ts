/** The witness of the explored world: what it answers to reads and writes, and whom its watches tell. */
import type { Incarnation, ServerName } from '../../pair/incarnation.ts';
import type { LeaseOwnership, LeaseRecord } from '../../pair/lease.ts';
import type { LeaseReadOutcome, LeaseWriteOutcome } from '../../pair/types.ts';
import { CALL_MS, inputFor, type PendingEvent, queued, type World, withLease } from './world.ts';

/** The witness's answer to a call that has arrived. `silent`: nobody hears it any more. */
export function answerCall(
  world: World,
  { from, effect, silent }: Extract<PendingEvent, { kind: 'call' }>,
): World {
  if (!silent && world.withoutApi.includes(from)) return queued(world, answerUnknown(world, from, effect));
  if (effect.kind === 'readLease') {
    const { home } = effect;
    const outcome: LeaseReadOutcome = { kind: 'found', sighting: sightingOf(world.leases[home]!) };
    return silent ? world : queued(world, inputFor(world, from, { kind: 'leaseRead', home, outcome }));
  }
  const { world: next, outcome } = write(world, effect);
  if (silent) return next;
  const { home, token } = effect;
  return {
    ...next,
    queue: [inputFor(world, from, { kind: 'leaseWritten', home, token, outcome }), ...next.queue],
  };
}

/** The answer that the driver gives when none has come. */
export function answerUnknown(
  world: World,
  from: Incarnation,
  effect: Extract<PendingEvent, { kind: 'call' }>['effect'],
): PendingEvent {
  const outcome = { kind: 'unknown' } as const;
  const { home } = effect;
  return inputFor(
    world,
    from,
    effect.kind === 'readLease'
      ? { kind: 'leaseRead', home, outcome }
      : { kind: 'leaseWritten', home, token: effect.token, outcome },
  );
}

function write(
  world: World,
  {
    home,
    version,
    ownership,
  }: Extract<Extract<PendingEvent, { kind: 'call' }>['effect'], { kind: 'writeLease' }>,
): { world: World; outcome: LeaseWriteOutcome } {
  const before = world.leases[home]!;
  if (version !== versionOf(before)) return { world, outcome: { kind: 'conflict' } };
  const written = withLease(world, home, ownership);
  const violation = world.violation ?? illegal(before, ownership);
  const next = notifyAll({ ...written, violation }, home, ownership.holder);
  return { world: next, outcome: { kind: 'applied', sighting: sightingOf(next.leases[home]!) } };
}

function illegal(before: LeaseRecord, after: LeaseOwnership): string | null {
  if (after.holder === null || after.holder === before.holder || after.epoch === before.epoch + 1)
    return null;
  return `${after.holder} became the holder of epoch ${after.epoch} after epoch ${before.epoch}`;
}

/** The adapters promise a compare-and-swap on the ownership: what others write beside it does not count. */
function versionOf(record: LeaseRecord): string {
  return String(record.renewal);
}

export function sightingOf(record: LeaseRecord) {
  return { version: versionOf(record), record };
}

/** Watches deliver the change; the writer has the answer to its write. */
export function notifyAll(world: World, home: ServerName, except: Incarnation | null): World {
  const sighting = sightingOf(world.leases[home]!);
  const watching = world.processes.filter(
    ({ alive, me }) => alive && me !== except && !world.withoutApi.includes(me),
  );
  return queued(
    world,
    ...watching.map(({ me }) => inputFor(world, me, { kind: 'leaseSeen', home, sighting })),
  );
}

/** Calls whose answer has not come in time: their senders hear "unknown", and whatever comes later they do not hear. */
export function giveUpCalls(world: World): World {
  const late = (event: PendingEvent) => 'sentAt' in event && world.now - event.sentAt >= CALL_MS;
  const answers: PendingEvent[] = [];
  const held: PendingEvent[] = [];
  for (const event of world.held) {
    if (event.kind === 'call' && !event.silent && late(event)) {
      answers.push(answerUnknown(world, event.from, event.effect));
      held.push({ ...event, silent: true });
    } else if (event.kind === 'input' && event.input.kind === 'leaseWritten' && late(event)) {
      answers.push(inputFor(world, event.to, { ...event.input, outcome: { kind: 'unknown' } }));
    } else if (event.kind === 'input' && event.input.kind === 'leaseRead' && late(event)) {
      answers.push(inputFor(world, event.to, { ...event.input, outcome: { kind: 'unknown' } }));
    } else held.push(event);
  }
  return queued({ ...world, held }, ...answers);
}
