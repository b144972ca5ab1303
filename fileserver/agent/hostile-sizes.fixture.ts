/**
 * Calls that the protocol allows and no sensible client makes. Names, link targets, sizes, times, ids and counts are at the ends
 * of what XDR and RFC 1813 let through, with handles of real objects and the credentials of ordinary users.
 */
import * as nfs from '../../protocol/nfs3.ts';
import { encodeCallHeader, type opaque_auth } from '../../protocol/rpc.ts';
import { XdrWriter } from '../../protocol/xdr.ts';
import type { SeededRandom } from '../../testing/seeded-random.ts';
import { ROOT, userCredential } from '../data-path/rpc-client.fixture.ts';

/** Lengths in bytes at which something else begins: NAME_MAX, PATH_MAX, a page, a record of the journal. */
const LENGTHS = [
  0, 1, 2, 3, 254, 255, 256, 1023, 1024, 4094, 4095, 4096, 4097, 16_384, 65_000, 65_536, 70_000,
];
/** Of all names, targets and data of one call: a record may have 1 MiB and 16 KiB, with two handles and the credential. */
const LENGTH_MAX = 1024 * 1024;
const WORDS = [0, 1, 2, 0x7fff, 0xffff, 0x10000, 0x7fffffff, 0x80000000, 0xfffffffe, 0xffffffff];
const WIDE = [
  0n,
  1n,
  4095n,
  2n ** 31n,
  2n ** 32n,
  2n ** 52n,
  2n ** 53n,
  2n ** 63n - 1n,
  2n ** 63n,
  2n ** 64n - 1n,
];
/** Small numbers of names and bytes, so that calls meet what others made, and the disk does not fill. */
const NAMES = 40;
const DATA_MAX = 64 * 1024;

const procedures = Object.keys(nfs.nfs3Procedures) as nfs.Nfs3Name[];
const text = new TextEncoder();

export interface HostileSizeCall {
  readonly name: nfs.Nfs3Name;
  /** The message without its record mark. */
  readonly message: Uint8Array;
}

export class HostileSizes {
  readonly #random: SeededRandom;
  readonly #root: Uint8Array;
  readonly #handles: Uint8Array[];
  /** Bytes that the call which is made may still have. */
  #left: number;

  constructor(random: SeededRandom, root: Uint8Array) {
    this.#random = random;
    this.#root = root;
    this.#handles = [root];
    this.#left = 0;
  }

  learnHandle(handle: Uint8Array): void {
    if (this.#handles.length < 64) this.#handles.push(handle);
    else this.#handles[1 + this.#random.below(63)] = handle;
  }

  next(xid: number): HostileSizeCall {
    const w = new XdrWriter();
    this.#left = LENGTH_MAX;
    const name = this.#random.pick(procedures);
    const procedure = nfs.nfs3Procedures[name];
    encodeCallHeader(w, xid, nfs.NFS_PROGRAM, nfs.NFS_V3, procedure.proc, this.#credential());
    (procedure.args.encode as (w: XdrWriter, args: unknown) => void)(w, this.#args[name]());
    return { name, message: w.bytes.slice(0, w.position) };
  }

  #credential(): opaque_auth {
    const random = this.#random;
    if (random.chance(1 / 10)) return { flavor: 0, body: new Uint8Array(0) };
    if (random.chance(1 / 3)) return ROOT;
    const gids = Array.from({ length: random.below(17) }, () => random.pick(WORDS));
    return userCredential(random.pick(WORDS), random.pick(WORDS), gids, 'm'.repeat(random.below(256)));
  }

  #handle(): Uint8Array {
    return this.#random.chance(1 / 2) ? this.#root : this.#random.pick(this.#handles);
  }

  #length(): number {
    const length = this.#random.chance(1 / 30) ? this.#random.below(LENGTH_MAX) : this.#random.pick(LENGTHS);
    return Math.min(length, this.#left);
  }

  #filled(length: number): Uint8Array {
    this.#left -= length;
    return new Uint8Array(length).fill(97 + this.#random.below(26));
  }

  #name(): Uint8Array {
    const random = this.#random;
    return random.chance(1 / 3) ? this.#filled(this.#length()) : text.encode(`n${random.below(NAMES)}`);
  }

  #wide(): bigint {
    return this.#random.pick(WIDE);
  }

  #time(): nfs.nfstime3 {
    return {
      seconds: this.#random.pick(WORDS),
      nseconds: this.#random.pick([0, 1, 999_999_999, 1e9, 0xffffffff]),
    };
  }

  #setTime(): nfs.set_time {
    const how = this.#random.below(3);
    return how === 2 ? { how, time: this.#time() } : { how: how as 0 | 1 };
  }

  #attributes(): nfs.sattr3 {
    const random = this.#random;
    const word = (): number | null => (random.chance(1 / 2) ? random.pick(WORDS) : null);
    return {
      mode: random.chance(1 / 2) ? 0o777 : word(),
      uid: word(),
      gid: word(),
      size: random.chance(1 / 2) ? this.#wide() : null,
      atime: this.#setTime(),
      mtime: this.#setTime(),
    };
  }

  #where(): nfs.diropargs3 {
    return { dir: this.#handle(), name: this.#name() };
  }

  #createHow(): nfs.createhow3 {
    const mode = this.#random.below(3);
    if (mode === 2) return { mode, verf: this.#random.bytes(8) };
    return { mode: mode as 0 | 1, obj_attributes: this.#attributes() };
  }

  #nodeData(): nfs.mknoddata3 {
    const random = this.#random;
    const type = (1 + random.below(7)) as nfs.ftype3;
    const spec = { specdata1: random.pick(WORDS), specdata2: random.pick(WORDS) };
    if (type === nfs.NF3CHR || type === nfs.NF3BLK) return { type, dev_attributes: this.#attributes(), spec };
    if (type === nfs.NF3SOCK || type === nfs.NF3FIFO) return { type, pipe_attributes: this.#attributes() };
    return { type };
  }

  #listing() {
    const random = this.#random;
    return {
      dir: this.#handle(),
      cookie: random.chance(1 / 2) ? 0n : this.#wide(),
      cookieverf: random.chance(1 / 2) ? new Uint8Array(8) : random.bytes(8),
    };
  }

  #written(): nfs.WRITE3args {
    const random = this.#random;
    const data = this.#filled(Math.min(this.#length(), random.chance(1 / 20) ? LENGTH_MAX : DATA_MAX));
    const count = random.chance(1 / 10) ? random.pick(WORDS) : data.length;
    return {
      file: this.#handle(),
      offset: this.#wide(),
      count,
      stable: random.below(3) as nfs.stable_how,
      data,
    };
  }

  readonly #args: { readonly [Name in nfs.Nfs3Name]: () => nfs.Nfs3Calls[Name]['args'] } = {
    GETATTR: () => ({ object: this.#handle() }),
    SETATTR: () => ({
      object: this.#handle(),
      new_attributes: this.#attributes(),
      guard: this.#random.chance(1 / 4) ? this.#time() : null,
    }),
    LOOKUP: () => ({ what: this.#where() }),
    ACCESS: () => ({ object: this.#handle(), access: this.#random.pick(WORDS) }),
    READLINK: () => ({ symlink: this.#handle() }),
    READ: () => ({ file: this.#handle(), offset: this.#wide(), count: this.#random.pick(WORDS) }),
    WRITE: () => this.#written(),
    CREATE: () => ({ where: this.#where(), how: this.#createHow() }),
    MKDIR: () => ({ where: this.#where(), attributes: this.#attributes() }),
    SYMLINK: () => ({
      where: this.#where(),
      symlink: { symlink_attributes: this.#attributes(), symlink_data: this.#filled(this.#length()) },
    }),
    MKNOD: () => ({ where: this.#where(), what: this.#nodeData() }),
    REMOVE: () => ({ object: this.#where() }),
    RMDIR: () => ({ object: this.#where() }),
    RENAME: () => ({ from: this.#where(), to: this.#where() }),
    LINK: () => ({ file: this.#handle(), link: this.#where() }),
    READDIR: () => ({ ...this.#listing(), count: this.#random.pick(WORDS) }),
    READDIRPLUS: () => ({
      ...this.#listing(),
      dircount: this.#random.pick(WORDS),
      maxcount: this.#random.pick(WORDS),
    }),
    FSSTAT: () => ({ fsroot: this.#handle() }),
    FSINFO: () => ({ fsroot: this.#handle() }),
    PATHCONF: () => ({ object: this.#handle() }),
    COMMIT: () => ({ file: this.#handle(), offset: this.#wide(), count: this.#random.pick(WORDS) }),
  };
}
