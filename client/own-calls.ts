/** The calls that a connection makes for itself: NULL, and the greeting that says who it is. */
import { randomBytes, randomInt } from 'node:crypto';
import { beginRecord, endRecord } from '../protocol/record.ts';
import { AUTH_NONE_CREDENTIAL, encodeCallHeader } from '../protocol/rpc.ts';
import {
  CLIENT_SIZE,
  encodeAnnouncement,
  encodeIdentity,
  IDENTITY_SIZE,
  SUCCESSION_PROGRAM,
  SUCCESSION_VERSION,
  successionproc1,
} from '../protocol/succession.ts';
import { XdrWriter } from '../protocol/xdr.ts';

/** The call, as a complete record, whose answer proves that the program is served. */
export function nullCall(program: number, version: number, xid: number): Uint8Array {
  return record(xid, program, version, 0, () => {});
}

/** Own calls on the adopted connection, while they are unanswered. */
export class OwnCalls {
  readonly #isTaken: (xid: number) => boolean;
  /** Tells the server which of its connections are this client's. */
  readonly #client = randomBytes(CLIENT_SIZE);
  readonly #clientIdentity: Uint8Array;
  #askXid: number | null = null;
  readonly #greetingXids = new Set<number>();

  /** `isTaken`: of an XID that a call of somebody else has. */
  constructor(clientIdentity: Uint8Array | undefined, isTaken: (xid: number) => boolean) {
    this.#clientIdentity = clientIdentity ?? randomBytes(IDENTITY_SIZE);
    this.#isTaken = isTaken;
  }

  has(xid: number): boolean {
    return xid === this.#askXid || this.#greetingXids.has(xid);
  }

  /** NULL, to hear whether the server lives. */
  ask(program: number, version: number): Uint8Array {
    this.#askXid = this.#newXid();
    return nullCall(program, version, this.#askXid);
  }

  /** Is this the reply to ask()? */
  isAnswer(xid: number): boolean {
    if (xid !== this.#askXid) return false;
    this.#askXid = null;
    return true;
  }

  /**
   * Announces that calls unread in earlier connections are not to be executed any more, and whose the calls on this one are
   * (protocol/succession.ts).
   */
  greeting(): Uint8Array[] {
    const { ANNOUNCE, IDENTIFY } = successionproc1;
    return [
      this.#greetingCall(ANNOUNCE, (w) => encodeAnnouncement(w, this.#client)),
      this.#greetingCall(IDENTIFY, (w) => encodeIdentity(w, this.#clientIdentity)),
    ];
  }

  /** Is this the reply to a call of the greeting? */
  isGreeted(xid: number): boolean {
    return this.#greetingXids.size > 0 && this.#greetingXids.delete(xid);
  }

  /** The connection has ended; their replies do not come any more. */
  clear(): void {
    this.#askXid = null;
    this.#greetingXids.clear();
  }

  #greetingCall(procedure: number, encodeArgs: (w: XdrWriter) => void): Uint8Array {
    const xid = this.#newXid();
    this.#greetingXids.add(xid);
    return record(xid, SUCCESSION_PROGRAM, SUCCESSION_VERSION, procedure, encodeArgs);
  }

  /**
   * Random, since a rule would be everybody's: a client of this library behind the proxy, which is one too, would come upon
   * the proxy's XIDs.
   */
  #newXid(): number {
    for (;;) {
      const xid = randomInt(2 ** 32);
      if (!this.#isTaken(xid) && !this.has(xid)) return xid;
    }
  }
}

function record(
  xid: number,
  program: number,
  version: number,
  procedure: number,
  encodeArgs: (w: XdrWriter) => void,
): Uint8Array {
  const w = new XdrWriter(64);
  const mark = beginRecord(w);
  encodeCallHeader(w, xid, program, version, procedure, AUTH_NONE_CREDENTIAL);
  encodeArgs(w);
  endRecord(w, mark);
  return w.written();
}
