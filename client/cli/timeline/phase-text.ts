/** Reports of servers and clients about a takeover or giveback, as sentences. Pure. */
import type { ConnectionEvent } from '../../connection-event.ts';
import type { Moment } from './moment.ts';

const CAUSES: Record<string, string> = {
  PartnerSaidSo: 'its sentinel saw the process die and said so',
  Released: 'it was handed over',
  Silent: 'it has been silent for the lease time',
  Requested: 'an administrator asked for it',
};

export interface Words {
  readonly owner: string;
  readonly home: string;
  readonly epoch: number;
  readonly cause: string;
  readonly port: number;
}

/** A phase as a sentence; of one that is not known here, its name. */
export function phaseText(name: string, words: Words): string {
  switch (name) {
    case 'detected':
      return words.owner === words.home
        ? `${words.owner} sees its disks released to it`
        : `${words.owner} knows: ${CAUSES[words.cause] ?? words.cause}`;
    case 'quiesce':
      return `what ran on ${words.home}'s disks is finished, on the disk and answered; port closed`;
    case 'release':
      return `${words.home}'s disks are released (lease without a holder)`;
    case 'claim':
      return `${words.owner} owns ${words.home}'s disks: lease at epoch ${words.epoch}`;
    case 'verify':
      return 'volumes verified, journals read';
    case 'replay':
      return 'volumes marked with the new epoch, journals replayed: replies known';
    case 'listen':
      return `port ${words.port} is open`;
    case 'firstReply':
      return 'first request answered there';
    default:
      return name;
  }
}

/** Events of the client's connection, ms after `zeroMs` (both of performance.now()). */
export function clientMoments(events: readonly ConnectionEvent[], zeroMs: number): Moment[] {
  const moments: Moment[] = [];
  for (const event of events) {
    const atMs = event.atMs - zeroMs;
    if (atMs < 0) continue;
    if (event.kind === 'Lost') {
      moments.push({ atMs, text: 'client: connection lost, tries both ports from now on', kind: 'Bad' });
    } else if (event.kind === 'Adopted') {
      const calls = event.resent === 1 ? '1 unanswered call' : `${event.resent} unanswered calls`;
      const times = event.attempts === 1 ? 'attempt' : 'attempts';
      const text = `client: ${event.port} port found (${event.attempts} ${times}), ${calls} sent again`;
      moments.push({ atMs, text });
    }
  }
  return moments;
}
