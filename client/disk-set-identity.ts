/** A client's knowledge of the disk set that it uses, and how it recognizes the disk set at another place. */
import { MNT3_OK, MOUNT_PROGRAM, mountproc3 } from '../protocol/mount.ts';
import {
  NFS_PROGRAM,
  NFS_V3,
  NFS3_FHSIZE,
  NFS3_OK,
  NFS3ERR_BADHANDLE,
  NFS3ERR_STALE,
  nfsproc3,
  nfsstat3Name,
} from '../protocol/nfs3.ts';
import { beginRecord, endRecord } from '../protocol/record.ts';
import {
  AUTH_NONE_CREDENTIAL,
  accept_stat,
  CallHeader,
  decodeCallHeader,
  decodeReplyHeader,
  encodeCallHeader,
  type opaque_auth,
  ReplyHeader,
} from '../protocol/rpc.ts';
import {
  decodeHoldsRes,
  encodeHoldsArgs,
  SUCCESSION_PROGRAM,
  SUCCESSION_VERSION,
  successionproc1,
} from '../protocol/succession.ts';
import { XdrError, XdrReader, XdrWriter } from '../protocol/xdr.ts';

// Names and ports lead to a server, and may lead to a wrong one: a wildcard in DNS, a mistyped address, an address that
// now belongs to another server. The proof is a file handle that the right server has given out: the server that serves its
// volume is the right one. FilerPair's servers are asked for just that (HOLDS, protocol/succession.ts). Others are asked
// for the attributes of the exported directory, since that one is not removed.
//
// The handle is read off the calls that are answered, so that the proxy, which does not mount anything itself, knows it
// too. Before the first such answer nothing can be proven.

/** A handle is read off an answered call again after this time: a volume may be taken out of a disk set. Ms. */
const RENEW_MS = 1000;

const MARK_SIZE = 4;

/** The questions that a server is asked one after the other, as far as its answers make it necessary. */
export type ProofQuestion = 'Holds' | 'RootAttributes';

export type ProofAnswer =
  | { readonly kind: 'Proven' }
  | { readonly kind: 'Ask'; readonly question: ProofQuestion }
  /** The server belongs to another disk set, or that cannot be found out. `reason` follows the server's address in a sentence. */
  | { readonly kind: 'Refused'; readonly reason: string };

/** Knowledge of a disk set, for another thread. */
export interface DiskSetKnowledge {
  /** Handle of any file. */
  readonly handle: Uint8Array | null;
  /** Handle of the exported directory, with the credential of the call that named it. */
  readonly root: { readonly handle: Uint8Array; readonly credential: opaque_auth } | null;
}

const PROVEN: ProofAnswer = { kind: 'Proven' };
const FOREIGN: ProofAnswer = { kind: 'Refused', reason: 'serves the disks of another server' };

/** One for each disk set that a process uses; connections to it may share it. */
export class DiskSetIdentity {
  #handle: DiskSetKnowledge['handle'] = null;
  #root: DiskSetKnowledge['root'] = null;
  #learnedAtMs = Number.NEGATIVE_INFINITY;
  readonly #call = new CallHeader();
  readonly #header = new ReplyHeader();

  /** Can a server be asked whether it is the right one? */
  get isKnown(): boolean {
    return this.#handle !== null;
  }

  get knowledge(): DiskSetKnowledge {
    return { handle: this.#handle, root: this.#root };
  }

  /** Somebody else has learned it. What is known here and not there stays. */
  know({ handle, root }: DiskSetKnowledge): void {
    this.#handle = handle ?? this.#handle;
    this.#root = root ?? this.#root;
  }

  /** Is it time to look at an answered call? `now`: ms of performance.now(). */
  isWanted(now: number): boolean {
    return now - this.#learnedAtMs >= RENEW_MS;
  }

  /** The handle of the exported directory, as MOUNT returned it, and the credential of those who use it. */
  mounted(handle: Uint8Array, credential: opaque_auth): void {
    this.#root = { handle: handle.slice(), credential };
    this.#handle = this.#root.handle;
  }

  /** Looks for a handle in a call and its reply, and leaves both as they are. `record`: begins with the record mark. */
  learn(record: Uint8Array, reply: XdrReader, now: number): void {
    try {
      const at = reply.position;
      this.#read(new XdrReader(record, MARK_SIZE), new XdrReader(reply.bytes, at, reply.end), now);
    } catch (error) {
      // The caller gets the same reply and sees the error itself.
      if (!(error instanceof XdrError)) throw error;
    }
  }

  /** The call, as a complete record, that asks the question. */
  ask(question: ProofQuestion, xid: number): Uint8Array {
    const w = new XdrWriter(512);
    const mark = beginRecord(w);
    if (question === 'Holds') {
      const { HOLDS } = successionproc1;
      encodeCallHeader(w, xid, SUCCESSION_PROGRAM, SUCCESSION_VERSION, HOLDS, AUTH_NONE_CREDENTIAL);
      encodeHoldsArgs(w, this.#handle!);
    } else {
      encodeCallHeader(w, xid, NFS_PROGRAM, NFS_V3, nfsproc3.GETATTR, this.#root!.credential);
      w.opaque(this.#root!.handle);
    }
    endRecord(w, mark);
    return w.written();
  }

  /** Judges the reply to the question. Throws XdrError. */
  judge(question: ProofQuestion, reply: XdrReader): ProofAnswer {
    const header = this.#header;
    decodeReplyHeader(reply, header);
    if (question === 'Holds') {
      if (header.kind === 'success') return decodeHoldsRes(reply) ? PROVEN : FOREIGN;
      // Not FilerPair, or an earlier version. Where not even the exported directory is known, nothing can be found out.
      return this.#root === null ? PROVEN : { kind: 'Ask', question: 'RootAttributes' };
    }
    if (header.kind !== 'success') {
      const what = header.kind === 'error' ? errorName(header.acceptStat) : header.kind;
      return { kind: 'Refused', reason: `answers GETATTR with ${what}` };
    }
    const status = reply.u32();
    if (status === NFS3_OK) return PROVEN;
    if (status === NFS3ERR_STALE || status === NFS3ERR_BADHANDLE) return FOREIGN;
    return { kind: 'Refused', reason: `answers GETATTR of the export with ${nfsstat3Name(status)}` };
  }

  #read(call: XdrReader, reply: XdrReader, now: number): void {
    decodeReplyHeader(reply, this.#header);
    if (this.#header.kind !== 'success') return;
    const header = this.#call;
    if (decodeCallHeader(call, header) !== 'ok') return;
    if (header.prog === NFS_PROGRAM && header.vers === NFS_V3 && header.proc !== nfsproc3.NULL) {
      if (reply.u32() !== NFS3_OK) return;
      const handle = call.opaque(NFS3_FHSIZE).slice();
      // The kernel asks this of the exported directory, after each mount.
      if (header.proc === nfsproc3.FSINFO) this.mounted(handle, credentialIn(call, header));
      else this.#handle = handle;
      this.#learnedAtMs = now;
    } else if (header.prog === MOUNT_PROGRAM && header.proc === mountproc3.MNT) {
      if (reply.u32() !== MNT3_OK) return;
      this.mounted(reply.opaque(NFS3_FHSIZE), credentialIn(call, header));
      this.#learnedAtMs = now;
    }
  }
}

function credentialIn(call: XdrReader, { credFlavor, credStart, credSize }: CallHeader): opaque_auth {
  return { flavor: credFlavor, body: call.bytes.slice(credStart, credStart + credSize) };
}

function errorName(stat: number): string {
  const names: Record<string, number> = accept_stat;
  return Object.keys(names).find((name) => names[name] === stat) ?? String(stat);
}
