/**
 * Attributes from the kernel's struct statx straight into a reply: fattr3, wcc_attr and the unions around them
 * (RFC 1813 §2.6). The same bytes as protocol/'s fattr3.encode() makes of an object, without the object; a test
 * compares the two.
 */
import {
  FATTR3_SIZE,
  NF3BLK,
  NF3CHR,
  NF3DIR,
  NF3FIFO,
  NF3LNK,
  NF3REG,
  NF3SOCK,
} from '../../protocol/nfs3.ts';
import type { XdrWriter } from '../../protocol/xdr.ts';
import type { Volume } from '../storage/volume/volume.ts';
import type { StatBuffer } from '../system/statx.ts';

/** By the upper four bits of st_mode. */
const typeOfMode = new Uint8Array(16);
typeOfMode[0o10] = NF3REG;
typeOfMode[0o04] = NF3DIR;
typeOfMode[0o06] = NF3BLK;
typeOfMode[0o02] = NF3CHR;
typeOfMode[0o12] = NF3LNK;
typeOfMode[0o14] = NF3SOCK;
typeOfMode[0o01] = NF3FIFO;

// Offsets into struct statx (linux/stat.h).
const NLINK = 16;
const UID = 20;
const GID = 24;
const MODE = 28;
const INO = 32;
const SIZE = 40;
const BLOCKS = 48;
const ATIME = 64;
const CTIME = 96;
const MTIME = 112;
const RDEV_MAJOR = 128;
const RDEV_MINOR = 132;

export function encodeAttributes(w: XdrWriter, stat: StatBuffer, volume: Volume): void {
  w.ensure(FATTR3_SIZE);
  const { view } = stat;
  const mode = view.getUint16(MODE, true);
  w.u32(typeOfMode[mode >>> 12]!);
  w.u32(mode & 0o7777);
  w.u32(view.getUint32(NLINK, true));
  w.u32(view.getUint32(UID, true));
  w.u32(view.getUint32(GID, true));
  w.u32(view.getUint32(SIZE + 4, true));
  w.u32(view.getUint32(SIZE, true));
  // used: blocks of 512 bytes, in bytes.
  const blocksLow = view.getUint32(BLOCKS, true);
  w.u32((view.getUint32(BLOCKS + 4, true) << 9) | (blocksLow >>> 23));
  w.u32(blocksLow << 9);
  w.u32(view.getUint32(RDEV_MAJOR, true));
  w.u32(view.getUint32(RDEV_MINOR, true));
  w.u32(volume.fsidHigh);
  w.u32(volume.fsidLow);
  w.u32(view.getUint32(INO + 4, true));
  w.u32(view.getUint32(INO, true));
  encodeTime(w, view, ATIME);
  encodeTime(w, view, MTIME);
  encodeTime(w, view, CTIME);
}

/** nfstime3 has 32 bits of seconds: times before 1970 and after 2106 wrap, as with every NFSv3 server. */
function encodeTime(w: XdrWriter, view: DataView, at: number): void {
  w.u32(view.getUint32(at, true));
  w.u32(view.getUint32(at + 8, true));
}

/** post_op_attr; null: not known. */
export function encodePostOp(w: XdrWriter, stat: StatBuffer | null, volume: Volume): void {
  if (stat === null) {
    w.u32(0);
    return;
  }
  w.u32(1);
  encodeAttributes(w, stat, volume);
}

/** Size of a wcc_attr in words. */
const WCC_WORDS = 6;

/** pre_op_attr: what an object was like before a change. Kept by value, as the stat buffer is used again. */
export class BeforeAttributes {
  #known: boolean;
  readonly #words: Uint32Array;

  constructor() {
    this.#known = false;
    this.#words = new Uint32Array(WCC_WORDS);
  }

  forget(): void {
    this.#known = false;
  }

  take(stat: StatBuffer): void {
    const { view } = stat;
    const words = this.#words;
    words[0] = view.getUint32(SIZE + 4, true);
    words[1] = view.getUint32(SIZE, true);
    words[2] = view.getUint32(MTIME, true);
    words[3] = view.getUint32(MTIME + 8, true);
    words[4] = view.getUint32(CTIME, true);
    words[5] = view.getUint32(CTIME + 8, true);
    this.#known = true;
  }

  encode(w: XdrWriter): void {
    if (!this.#known) {
      w.u32(0);
      return;
    }
    w.u32(1);
    for (let i = 0; i < WCC_WORDS; i++) w.u32(this.#words[i]!);
  }
}
