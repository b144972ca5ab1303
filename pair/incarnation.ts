/**
 * An incarnation is one run of one server process: `server/container/run`.
 *
 * Several incarnations of one server can be alive at once: a pod that was replaced while its old node was
 * only cut off from the network still runs. So everything that grants or takes a right names an
 * incarnation and never a server.
 *
 * The middle part tells the container that the process ran in (on Kubernetes the pod's UID). The kubelet
 * never runs two containers of the same name in one pod, so a younger run in the same container is proof
 * that the earlier ones have ended (rule R5).
 */

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

export function serverOf(incarnation: Incarnation): ServerName {
  return incarnation.slice(0, incarnation.indexOf('/'));
}

/**
 * True if `a` was started after `b`, both of one server. Runs are named after the wall clock at their start, in base 36; what
 * depends on this order must only be better for it, never safe by it.
 */
export function startedLater(a: Incarnation, b: Incarnation): boolean {
  const [one, other] = [runOf(a), runOf(b)];
  return one.length === other.length ? one > other : one.length > other.length;
}

function runOf(incarnation: Incarnation): string {
  return incarnation.slice(incarnation.lastIndexOf('/') + 1);
}

/**
 * True if `other` ran in the same container as `me`, before me. Only a live process may ask this about
 * itself: that it runs at all is the proof that the other one has ended.
 */
export function isEarlierRunOfMyContainer(other: Incarnation, me: Incarnation): boolean {
  if (other === me) return false;
  return other.slice(0, other.lastIndexOf('/')) === me.slice(0, me.lastIndexOf('/'));
}
