/** Log lines for the trace events of the driver. */
import type { ServerName } from '../../pair/incarnation.ts';
import type { TraceEvent } from '../../pair/types.ts';

type Line = readonly ['info' | 'warn' | 'error', string];
type Lines = {
  readonly [N in TraceEvent['name']]: (
    home: ServerName,
    event: Extract<TraceEvent, { readonly name: N }>,
  ) => Line;
};

const LINES: Lines = {
  detected: (home, { message, cause }) => ['warn', `Reason to claim ${home}: ${message} (${cause}).`],
  deferred: (home, { message, cause }) => ['warn', `Not claiming ${home}: ${message} (${cause}).`],
  claiming: (home, { epoch, cause }) => ['info', `Claiming ${home} at epoch ${epoch} (${cause}).`],
  owned: (home, { epoch }) => ['info', `${home} is owned by this server at epoch ${epoch}.`],
  serving: (home, { epoch }) => ['info', `${home} is served at epoch ${epoch}.`],
  claimLost: (home, { message }) => ['info', `The claim of ${home} was not successful: ${message}.`],
  paired: (home, { acknowledger }) => ['info', `${acknowledger} confirms ${home} from now on (paired).`],
  solo: (home, { message }) => ['warn', `Renewals of the Lease confirm ${home} (solo): ${message}.`],
  stalled: (home, { message }) => ['warn', `${home}: ${message}; no partner is connected that could try.`],
  wentBack: (home, { message }) => [
    'error',
    `The Lease of ${home} has gone back: ${message}. Was the witness restored from a backup?`,
  ],
  fenced: (home, { message }) => ['error', `Stopped serving ${home} at once: ${message}.`],
  quiescing: (home, { to, message }) => [
    'info',
    `Finishing what runs on ${home}, to hand it to ${to ?? 'the server that claims it'}: ${message || 'asked by an administrator'}.`,
  ],
  released: (home, { to }) => ['info', `${home} is released${to === null ? '' : ` to ${to}`}.`],
  openFailed: (home, { message }) => ['error', `${home} cannot be served here: ${message}.`],
};

export function traceLine(home: ServerName, event: TraceEvent): Line {
  return (LINES[event.name] as (home: ServerName, event: TraceEvent) => Line)(home, event);
}
