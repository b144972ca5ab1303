/**
 * Calls that a hostile client might make: well-formed ones with real handles and malicious names, the same with bytes changed,
 * and what earlier ones of either kind led to something new. Structure (procedure, handles, lengths) steers the code under test
 * far more than single bytes.
 */
import { dirpath, MOUNT_PROGRAM, MOUNT_V3 } from '../../protocol/mount.ts';
import * as nfs from '../../protocol/nfs3.ts';
import { encodeCallHeader, type opaque_auth } from '../../protocol/rpc.ts';
import { randomNfs3 } from '../../protocol/testing/random-nfs3.ts';
import { XdrWriter } from '../../protocol/xdr.ts';
import type { SeededRandom } from '../../testing/seeded-random.ts';
import { ROOT, userCredential } from './rpc-client.fixture.ts';

// So inputs are made from structure and kept when the server shows a new behaviour; the coverage of its lines is not looked at.

const procedures = Object.keys(nfs.nfs3Procedures) as nfs.Nfs3Name[];
/** Those that show a way out. */
const EXPLORING: readonly nfs.Nfs3Name[] = ['LOOKUP', 'LOOKUP', 'READ', 'READDIRPLUS'];
const bytes = (text: string): Uint8Array => new TextEncoder().encode(text);

/** Names that a server must not take for paths, and plain ones, so that something happens too. */
function hostileNames(canary: string): readonly Uint8Array[] {
  const climbing = `${'../'.repeat(12)}${canary.slice(1)}`;
  return [
    ...['a', 'b', 'c', 'd', 'file', 'directory', 'link', 'up', 'fifo', 'outside', 'locked', 'treasure'],
    ...['.', '..', '', '/', './a', '../outside', '..\0', 'a\0b', '.filerpair', '.filerpair/secret'],
    ...[canary, `${canary}/treasure`, climbing, `${climbing}/treasure`, '/etc/passwd', '/proc/self/root'],
    ...['up/outside', 'link/treasure', 'n'.repeat(255), 'n'.repeat(256), 'n'.repeat(5000), '%2e%2e', '..\\'],
  ].map(bytes);
}

export interface HostileCall {
  readonly xid: number;
  /** The message without its record mark. */
  readonly message: Uint8Array;
  /** What it was made as, for the bookkeeping of behaviours. */
  readonly what: string;
}

/** In a kept call: handle number n, which differs from run to run, of the same length as in the call. */
const PLACEHOLDER = bytes('handle!#');

export class HostileCalls {
  readonly #random: SeededRandom;
  readonly #names: readonly Uint8Array[];
  /** The first ones are always the same objects; replies add to them. */
  readonly #handles: Uint8Array[];
  readonly #fixedHandles: number;
  #latest: Uint8Array;
  readonly #kept: HostileCall[];
  #nextXid: number;

  constructor(random: SeededRandom, canary: string, handles: readonly Uint8Array[]) {
    this.#random = random;
    this.#names = hostileNames(canary);
    this.#handles = [...handles];
    this.#fixedHandles = handles.length;
    this.#latest = handles[0]!;
    this.#kept = [];
    this.#nextXid = 1;
  }

  learnHandle(handle: Uint8Array): void {
    this.#latest = handle;
    if (this.#handles.length < 64) this.#handles.push(handle);
    else this.#handles[this.#fixedHandles + this.#random.below(64 - this.#fixedHandles)] = handle;
  }

  keep(call: HostileCall): void {
    this.#kept.push(call);
  }

  next(): HostileCall {
    const random = this.#random;
    if (this.#kept.length > 0 && random.chance(1 / 4)) {
      const { message, what } = random.pick(this.#kept);
      return this.#finish(this.#mutate(message.slice()), what);
    }
    const [message, what] = random.chance(1 / 12) ? this.#mountCall() : this.#nfsCall();
    return this.#finish(random.chance(1 / 3) ? this.#mutate(message) : message, what);
  }

  #finish(message: Uint8Array, what: string): HostileCall {
    const xid = this.#nextXid++;
    if (message.length >= 4) new DataView(message.buffer, message.byteOffset).setUint32(0, xid);
    return { xid, message, what };
  }

  #credential(): opaque_auth {
    const random = this.#random;
    switch (random.below(5)) {
      case 0:
        return userCredential(random.pick([1, 1000, 65534, 0xffffffff]), random.below(3), [0, 5, 0xffffffff]);
      case 1:
        return { flavor: 0, body: new Uint8Array(0) };
      default:
        return ROOT;
    }
  }

  #mountCall(): [Uint8Array, string] {
    const w = new XdrWriter();
    const procedure = this.#random.below(7);
    encodeCallHeader(w, 0, MOUNT_PROGRAM, MOUNT_V3, procedure, this.#credential());
    const path = `${this.#random.pick(['/inside', '/inside/', '', '/locked', '/'])}/${this.#someText()}`;
    if (procedure === 1 || procedure === 3) dirpath.encode(w, bytes(path).subarray(0, 1024));
    return [w.bytes.slice(0, w.position), `MOUNT ${procedure}`];
  }

  #someText(): string {
    return Buffer.from(this.#random.pick(this.#names)).toString();
  }

  #nfsCall(): [Uint8Array, string] {
    const w = new XdrWriter();
    const name = this.#random.chance(1 / 4) ? this.#random.pick(EXPLORING) : this.#random.pick(procedures);
    const {
      proc,
      args: { encode: encodeArgs },
    } = nfs.nfs3Procedures[name];
    encodeCallHeader(w, 0, nfs.NFS_PROGRAM, nfs.NFS_V3, proc, this.#credential());
    const args = this.#sharpen(randomNfs3[name].args(this.#random));
    (encodeArgs as (w: XdrWriter, args: unknown) => void)(w, args);
    return [w.bytes.slice(0, w.position), name];
  }

  /** Random arguments with real handles, hostile names and sizes that the machine survives. */
  #sharpen(value: unknown, key = ''): unknown {
    const random = this.#random;
    if (value instanceof Uint8Array) {
      if (['object', 'dir', 'file', 'symlink', 'fsroot'].includes(key)) {
        if (random.chance(1 / 20)) return value;
        // The exported directory, which can't be removed, is where most things can be done; what was found last is
        // where a way out would lead on.
        return random.pick([this.#handles[0]!, this.#latest, random.pick(this.#handles)]);
      }
      if (key === 'name' || key === 'symlink_data') return random.pick(this.#names);
      return key === 'cookieverf' && random.chance(1 / 2) ? new Uint8Array(8) : value;
    }
    if (typeof value === 'bigint') return random.chance(1 / 2) ? 0n : value;
    if (typeof value === 'number') {
      if (['count', 'dircount', 'maxcount'].includes(key)) {
        return random.chance(1 / 20) ? value : random.below(20_000);
      }
      if (key === 'offset' || key === 'size') return random.chance(1 / 3) ? value : random.below(10_000);
      return value;
    }
    if (typeof value !== 'object' || value === null) return value;
    // count says how long the data is, or the call is refused before anything happens.
    const entries = Object.entries(value).map(([k, v]) => [k, this.#sharpen(v, k)]);
    const made = Object.fromEntries(entries) as Record<string, unknown>;
    if (made['data'] instanceof Uint8Array && random.chance(1 / 2)) made['count'] = made['data'].length;
    return made;
  }

  #mutate(message: Uint8Array): Uint8Array {
    const random = this.#random;
    const view = new DataView(message.buffer, message.byteOffset, message.length);
    for (let changes = 1 + random.below(4); changes > 0 && message.length >= 8; changes--) {
      // A broken header ends the connection, and with it what could have followed.
      const from = message.length > HEADER_SIZE + 8 && !random.chance(1 / 20) ? HEADER_SIZE : 4;
      const at = from + random.below(message.length - from);
      const word = at & ~3;
      switch (random.below(4)) {
        case 0:
          message[at] = random.word();
          break;
        case 1:
          if (word + 4 <= message.length) view.setUint32(word, random.pick(INTERESTING));
          break;
        case 2:
          return message.slice(0, word);
        default: {
          const longer = new Uint8Array(message.length + 4);
          longer.set(message.subarray(0, word));
          longer.set(message.subarray(word), word + 4);
          return longer;
        }
      }
    }
    return message;
  }

  /** A call as text that means the same in another run. */
  write({ message, what }: HostileCall): string {
    const copy = Buffer.from(message);
    for (let i = 0; i < this.#fixedHandles; i++) {
      const handle = this.#handles[i]!;
      for (let at = copy.indexOf(handle); at >= 0; at = copy.indexOf(handle)) {
        copy.fill(0, at, at + handle.length);
        copy.set([...PLACEHOLDER, i, handle.length], at);
      }
    }
    return `${what}\t${copy.toString('base64')}`;
  }

  read(line: string): HostileCall {
    const [what = '', text = ''] = line.split('\t');
    const copy = Buffer.from(text, 'base64');
    for (let at = copy.indexOf(PLACEHOLDER); at >= 0; at = copy.indexOf(PLACEHOLDER)) {
      const handle = this.#handles[copy[at + PLACEHOLDER.length]!] ?? this.#handles[0]!;
      const room = copy[at + PLACEHOLDER.length + 1]!;
      copy.set(handle.subarray(0, room), at);
      // A run on another file system has handles of another length: then the call is cut, and no less hostile.
      if (copy.indexOf(PLACEHOLDER) === at) break;
    }
    return this.#finish(new Uint8Array(copy), what);
  }
}

/** Bytes of a call's header with a short credential. */
const HEADER_SIZE = 64;
const INTERESTING = [0, 1, 2, 3, 4, 46, 64, 65, 255, 256, 0x7fffffff, 0x80000000, 0xfffffffc, 0xffffffff];
