/** An incarnation is one run of one server process: `server/container/run`. */

// Several incarnations of one server can be alive at once: a pod that was replaced while its old node was
// only cut off from the network still runs. So everything that grants or takes a lease names an
// incarnation and never a server.
//
// The middle part tells the container that the process ran in (on Kubernetes the pod's UID). A kubelet
// never runs two containers of the same name in one pod, so a younger run in the same container is proof
// that the earlier ones have ended (rule R5). But a pod is bound to a node's name: another machine that registers
// under that name runs the same pod, while the first one may only be cut off. So the run tells the machine too.

/** `server/container/run`; made only by {@link incarnationOf} and {@link parseIncarnation}. */
export type Incarnation = string & { readonly __brand: 'Incarnation' };

/** A server's name as the FilerPair declares it; a DNS label. Also the name of its disk set ("home"). */
export type ServerName = string;

const PART = /^[A-Za-z0-9][A-Za-z0-9._:-]*$/;

/** Builds an incarnation. Throws RangeError if a part is empty or has a character outside [A-Za-z0-9._:-]. */
export function incarnationOf(server: ServerName, container: string, run: string): Incarnation {
  for (const part of [server, container, run]) {
    if (!PART.test(part)) throw new RangeError(`"${part}" cannot be part of an incarnation's name`);
  }
  return `${server}/${container}/${run}` as Incarnation;
}

/** Reads an incarnation that came from outside; null if it is not one. */
export function parseIncarnation(text: string): Incarnation | null {
  const parts = text.split('/');
  return parts.length === 3 && text.length <= 256 && parts.every((part) => PART.test(part))
    ? (text as Incarnation)
    : null;
}

/** The part before the first slash. */
export function serverOf(incarnation: Incarnation): ServerName {
  return incarnation.slice(0, incarnation.indexOf('/'));
}

/**
 * True if `a` was started after `b`, both of one server. Runs are named after the wall clock at their start, in base 36; what
 * depends on this order must only be better for it, never safe by it.
 */
export function startedLater(a: Incarnation, b: Incarnation): boolean {
  const [one, other] = [runOf(a), runOf(b)];
  const digits = Math.max(one.length, other.length);
  return one.padStart(digits, '0') > other.padStart(digits, '0');
}

/** Without the machine. */
function runOf(incarnation: Incarnation): string {
  return runPart(incarnation).split('.', 1)[0]!;
}

const runPart = (incarnation: Incarnation): string => incarnation.slice(incarnation.lastIndexOf('/') + 1);

/** Where a process runs, in names without a dot. */
export interface RunsOn {
  /** The kernel, from one boot to the next. */
  readonly boot: string;
  /** The machine, whatever it is called; null: it has no name of its own. */
  readonly machine: string | null;
}

/** The last part of an incarnation's name. `start`: a name of the start that no other one has, without a dot. */
export const runOn = (start: string, { boot, machine }: RunsOn): string =>
  [start, boot, ...(machine === null ? [] : [machine])].join('.');

/**
 * True if `other` ran in the same container as `me`, before me. Only a live process may ask this about
 * itself: that it runs at all is the proof that the other one has ended.
 */
export function isEarlierRunOfMyContainer(other: Incarnation, me: Incarnation): boolean {
  if (other === me) return false;
  return containerPart(other) === containerPart(me) && onMyMachine(other, me);
}

const containerPart = (incarnation: Incarnation): string =>
  incarnation.slice(0, incarnation.lastIndexOf('/'));

/** One machine runs one kernel at a time: what ran under an earlier boot of mine has ended. What is not known is no proof. */
function onMyMachine(other: Incarnation, me: Incarnation): boolean {
  const [, theirBoot, theirMachine] = runPart(other).split('.');
  const [, myBoot, myMachine] = runPart(me).split('.');
  return theirBoot === myBoot || (theirMachine !== undefined && theirMachine === myMachine);
}
