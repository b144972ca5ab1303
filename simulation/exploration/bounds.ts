/**
 * Bounds of the exploration: which faults together, and how many of each. Each set of bounds is about one way in which the rules
 * could be attacked; together they take `make test` less than a minute of one processor, and `make explore` some minutes.
 */
import type { PairPolicy } from '../../pair/types.ts';
import { FAULTS } from '../faults/registry.ts';
import type { Bounds } from './explore.ts';

/** Givebacks by themselves, in the time scale of the explorer. */
const AUTOMATIC: PairPolicy = {
  takeover: 'Automatic',
  giveback: { mode: 'Automatic', afterMs: 20, retries: 1, takeoversMax: 2, windowMs: 40 },
};

const SMALL: readonly Bounds[] = [
  {
    name: 'start',
    about: 'two servers start, and something comes late',
    from: 'start',
    faults: { late: 1, unknown: 1 },
  },
  {
    name: 'crash',
    about: 'the holder or its partner dies and comes back; proofs come at any moment, or never',
    from: 'paired',
    faults: { crash: 1, restart: 1 },
  },
  {
    name: 'pause',
    about: 'a process is stopped at any point, with a write in its hands, and goes on at any later moment',
    from: 'paired',
    faults: { pause: 1, disconnect: 1 },
  },
  {
    name: 'late',
    about: 'messages, news of the watch, and calls of the witness arrive at any later moment, or never',
    from: 'paired',
    faults: { late: 2 },
  },
  {
    name: 'witness',
    about:
      'the connection breaks, and calls of the witness end without an answer: applied, applied later, or never',
    from: 'paired',
    faults: { disconnect: 1, unknown: 2 },
  },
  {
    name: 'twins',
    about: 'two incarnations of one server are alive at once, and the network between some of them is cut',
    from: 'paired',
    faults: { replace: 1, cut: 1 },
  },
  {
    name: 'hand-over',
    about: 'an administrator asks for a hand-over, and a server crashes on the way',
    from: 'paired',
    faults: { request: 1, crash: 1 },
  },
  {
    name: 'giveback',
    about: 'the home server crashes, comes back and gets its disk set back by itself, interrupted anywhere',
    from: 'paired',
    faults: { crash: 1, restart: 1 },
    policy: AUTOMATIC,
  },
  {
    name: 'force',
    about:
      'holder or acknowledger is dead, and an administrator forces the transfer; maintenance keeps the rest from moving',
    from: 'paired',
    faults: { crash: 1, force: 1, maintenance: 1 },
  },
  {
    name: 'stop',
    about: 'a server is told to stop, or its disk fails, while a call of the witness ends without an answer',
    from: 'paired',
    faults: { stop: 1, diskFault: 1, unknown: 1 },
  },
  {
    name: 'half open',
    about:
      'a volume cannot be opened while another is being written, and the server is told to stop meanwhile',
    from: 'start',
    faults: { openFailure: 1, stop: 1 },
  },
  {
    name: 'halt',
    about: 'a data path halts a disk set that is handed over, and its agent hears of it late',
    from: 'paired',
    faults: { halt: 1, request: 1 },
  },
  {
    name: 'paused machine',
    about: 'a machine is paused as a whole, and neither its clock nor its dead man’s switch sees it',
    from: 'paired',
    faults: { machinePause: 1 },
  },
  {
    name: 'both',
    about:
      'two disk sets: a server crashes, comes back and gets its own back by itself, while it may own the other one too',
    from: 'paired',
    diskSets: 2,
    faults: { crash: 1, restart: 1 },
    policy: AUTOMATIC,
  },
  {
    name: 'exchange',
    about: 'two disk sets, each handed over and back, both or one after the other',
    from: 'paired',
    diskSets: 2,
    faults: { request: 2 },
  },
  {
    name: 'volumes',
    about: 'two volumes of one disk set, one of which hangs while they are opened or closed',
    from: 'paired',
    volumes: 2,
    faults: { request: 1, late: 1 },
  },
  {
    name: 'volumes fail',
    about: 'two volumes of one disk set, from the start: a fault of one, and a stop',
    from: 'start',
    volumes: 2,
    faults: { stop: 1, diskFault: 1 },
  },
];

/** Minutes each. */
export const largeBounds: readonly Bounds[] = [
  {
    name: 'both',
    about: 'one server serves both disk sets, hands one of them over, and is stopped',
    from: 'one serves both',
    diskSets: 2,
    faults: { request: 1, pause: 1 },
  },
  {
    name: 'volumes',
    about: 'three volumes of one disk set, one of which hangs, one fails, and it is handed over',
    from: 'paired',
    volumes: 3,
    faults: { request: 1, late: 1, diskFault: 1 },
  },
  {
    name: 'half open',
    about: 'a volume cannot be opened while another is being written, a stop, and something comes late',
    from: 'start',
    faults: { openFailure: 1, stop: 1, late: 1 },
  },
  { name: 'start', about: 'two servers start', from: 'start', faults: { late: 2, unknown: 1 } },
  {
    name: 'halt',
    about: 'a halt that is heard late, while its process is stopped and the connection breaks',
    from: 'paired',
    faults: { halt: 1, pause: 1, disconnect: 1 },
  },
  {
    name: 'paused machines',
    about: 'a machine is paused as a whole, and the connection breaks',
    from: 'paired',
    faults: { machinePause: 1, disconnect: 1 },
  },
  {
    name: 'crash',
    about: 'crash, restart, and late messages',
    from: 'paired',
    faults: { crash: 1, restart: 1, late: 1 },
  },
  { name: 'pause', about: 'stopped, with late messages', from: 'paired', faults: { pause: 1, late: 1 } },
  { name: 'pauses', about: 'both are stopped', from: 'paired', faults: { pause: 2, disconnect: 1 } },
  {
    name: 'cut',
    about: 'cut in both directions, while one is stopped',
    from: 'paired',
    faults: { cut: 2, pause: 1 },
  },
  {
    name: 'witness',
    about: 'the witness out of reach',
    from: 'paired',
    faults: { disconnect: 1, unknown: 2, withoutApi: 1 },
  },
  {
    name: 'twins',
    about: 'two incarnations, one dies',
    from: 'paired',
    faults: { replace: 1, crash: 1, cut: 1 },
  },
  {
    name: 'hand-over',
    about: 'a hand-over, a crash, a lost answer',
    from: 'paired',
    faults: { request: 1, crash: 1, unknown: 1 },
  },
];

const together = new Set([...SMALL, ...largeBounds].flatMap(({ faults }) => Object.keys(faults)));
const alone = FAULTS.filter(({ name, explored }) => explored !== undefined && !together.has(name));

/** Also each fault that no bounds name, by itself. */
export const smallBounds: readonly Bounds[] = [
  ...SMALL,
  ...alone.map(({ name }) => ({
    name,
    about: `${name} alone`,
    from: 'paired' as const,
    faults: { [name]: 1 },
  })),
];
