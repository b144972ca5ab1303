/** Memory of a relay thread in which calls are received, and where they stay until they are answered. */
import { NativeBuffer } from '../../../native/native-buffer.ts';
import { NFS3_RECORD_SIZE_MAX } from '../../../protocol/nfs3.ts';
import { forgetContents } from './system-calls.ts';

// Short calls of all clients lie one behind the other in slabs. A slab is used again when the last call in it is answered. What
// a slow call keeps of a slab would be lost for others, so such calls are moved when slabs hold much more than calls. The rest of
// a long call (a WRITE) has a buffer of its own.
//
// Memory stays with the thread, but not what the kernel has behind it: when all calls are answered, that is given back (trim).

export const SLAB_SIZE = 256 * 1024;
/** Slabs that may hold nothing but a few slow calls. */
const SLABS_SPARE = 16;
/** Above this, what is free is left to the garbage collector. */
const FREE_SLABS_MAX = 8;
const FREE_BODIES_MAX = 24;
/** Sizes of buffers for long calls. */
const BODY_SIZES = [SLAB_SIZE, NFS3_RECORD_SIZE_MAX + 4] as const;

export class Slab extends NativeBuffer {
  /** Bytes that calls have taken, also those that are answered. */
  used = 0;
  /** Calls in it, and their bytes. */
  calls = 0;
  live = 0;
}

export class CallSlabs {
  #current = new Slab(SLAB_SIZE);
  readonly #free: Slab[] = [];
  readonly #freeBodies: NativeBuffer[][] = BODY_SIZES.map(() => []);
  #inUse = 1;
  #live = 0;
  #bodiesInUse = 0;
  #moving = false;
  /** Grows with each use. */
  uses = 0;
  #usesTrimmed = 0;
  readonly #onWaste: () => void;

  /** onWaste: calls in slabs that are nearly empty should be moved. */
  constructor(onWaste: () => void) {
    this.#onWaste = onWaste;
  }

  /** Room for the next `size` bytes, from `used` on. size: at most SLAB_SIZE. */
  withRoom(size: number): Slab {
    this.uses += 1;
    if (this.#current.used + size <= SLAB_SIZE) return this.#current;
    const full = this.#current;
    this.#current = this.#free.pop() ?? new Slab(SLAB_SIZE);
    this.#inUse += 1;
    if (full.calls === 0) this.#giveBack(full);
    if (!this.#moving && this.#inUse > SLABS_SPARE && this.#inUse * SLAB_SIZE > 4 * this.#live) {
      this.#moving = true;
      this.#onWaste();
      this.#moving = false;
    }
    return this.#current;
  }

  /** Is the slab held by a few slow calls? */
  isNearlyEmpty(slab: Slab): boolean {
    return slab !== this.#current && slab.live < SLAB_SIZE / 4;
  }

  keep(slab: Slab, size: number): void {
    slab.calls += 1;
    slab.live += size;
    this.#live += size;
  }

  release(slab: Slab, size: number): void {
    slab.calls -= 1;
    slab.live -= size;
    this.#live -= size;
    if (slab.calls > 0) return;
    if (slab === this.#current) slab.used = 0;
    else this.#giveBack(slab);
  }

  takeBody(size: number): NativeBuffer {
    this.#bodiesInUse += 1;
    const kind = BODY_SIZES.findIndex((most) => size <= most);
    return this.#freeBodies[kind]!.pop() ?? new NativeBuffer(BODY_SIZES[kind]!);
  }

  releaseBody(body: NativeBuffer): void {
    this.#bodiesInUse -= 1;
    const free = this.#freeBodies[BODY_SIZES.indexOf(body.bytes.length)]!;
    if (free.length < FREE_BODIES_MAX) free.push(body);
  }

  /** Nothing is kept, but there is memory to be given back. */
  get isTrimmable(): boolean {
    return this.#live === 0 && this.#bodiesInUse === 0 && this.uses !== this.#usesTrimmed;
  }

  /** When nothing is kept. */
  trim(): void {
    this.#usesTrimmed = this.uses;
    for (const slab of [this.#current, ...this.#free]) forgetContents(slab);
    for (const bodies of this.#freeBodies) for (const body of bodies) forgetContents(body);
  }

  #giveBack(slab: Slab): void {
    this.#inUse -= 1;
    slab.used = 0;
    if (this.#free.length < FREE_SLABS_MAX) this.#free.push(slab);
  }
}
