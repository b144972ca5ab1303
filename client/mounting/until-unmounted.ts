/** When a proxy that was started for a mount is of no use any more: the kernel has no mount of its address. */
import { readFileSync } from 'node:fs';

// The kernel's client closes its connection when the last mount of a server ends, and when a mount was idle for five minutes. So
// nothing has to wake up in between: each end of a connection is the moment to look.

/** The kernel's list shows a change within this time. Ms. */
const SETTLE_MS = 200;
/** For the mount for which the proxy was started. Ms. */
const FIRST_MOUNT_MS = 60_000;

export class UntilUnmounted {
  readonly ended: Promise<void>;
  readonly #isMounted: () => boolean;
  readonly #end: () => void;
  readonly #firstMount: NodeJS.Timeout;
  #settling: NodeJS.Timeout | null = null;
  #wasMounted = false;

  constructor(isMounted: () => boolean) {
    this.#isMounted = isMounted;
    const { promise, resolve } = Promise.withResolvers<void>();
    this.ended = promise;
    this.#end = resolve;
    this.#firstMount = setTimeout(() => {
      this.#wasMounted = true;
      this.#look();
    }, FIRST_MOUNT_MS);
    this.#firstMount.unref();
  }

  /** A connection of a client has ended. */
  clientGone(): void {
    this.#settling ??= setTimeout(() => {
      this.#settling = null;
      this.#look();
    }, SETTLE_MS);
  }

  #look(): void {
    if (this.#isMounted()) {
      this.#wasMounted = true;
      clearTimeout(this.#firstMount);
    } else if (this.#wasMounted) this.#end();
  }
}

/**
 * The kernel's client has a mount of this server, in whatever mount namespace, and also if it was taken from the tree (umount -l) and
 * is still in use.
 */
export function isMountedByKernel(host: string, port: number): boolean {
  try {
    return hasServer(readFileSync('/proc/fs/nfsfs/servers', 'utf8'), host, port);
  } catch (error) {
    // Without the client's module there is no mount.
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return false;
    throw error;
  }
}

/** Of /proc/fs/nfsfs/servers: version, address and port in hexadecimal, uses, name. */
export function hasServer(text: string, host: string, port: number): boolean {
  return text.split('\n').some((line) => {
    const [, , hexPort, , name] = line.trim().split(/\s+/);
    return name === host && parseInt(hexPort ?? '', 16) === port;
  });
}
