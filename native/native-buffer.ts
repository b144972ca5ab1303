/** Memory that the kernel reads or fills, with its address as a plain number. */
import koffi from 'koffi';

// koffi takes a typed array for a pointer argument, but has to ask the engine for its address at each call; an
// address passed as a number costs nothing and allocates nothing. V8 never moves the backing store of an
// ArrayBuffer, so the address stays right as long as the object is referenced. Keep the object, not the number: once a
// module has run, the engine drops what none of its functions names, and a number that was kept is the address of
// memory that belongs to others.

export class NativeBuffer {
  readonly bytes: Uint8Array<ArrayBuffer>;
  readonly view: DataView<ArrayBuffer>;
  /** Address of the first byte. Below 2^47 on the supported machines, so a number holds it exactly. */
  readonly address: number;

  constructor(size: number) {
    this.bytes = new Uint8Array(size);
    this.view = new DataView(this.bytes.buffer);
    this.address = addressOf(this.bytes);
  }
}

/** Address of the array's first byte, valid while the array's buffer is referenced. */
export function addressOf(bytes: Uint8Array): number {
  return Number(koffi.address(bytes));
}
