/**
 * Whose a call is, as the duplicate request cache knows it: 16 bytes that only the client's own connections have
 * (callers/client-key.ts), as text for keys and as words for comparisons.
 */
export interface ClientKey {
  /** latin1 */
  readonly text: string;
  readonly words: Int32Array;
}

/** The connection that a call has come by, as other connections of the same disk set can be told from it. */
export interface Origin {
  /** A hash of the client's address. */
  readonly host: number;
  /** The same of address and port. Clients that have a port of their own keep it when they connect again (Linux). */
  readonly address: number;
  /** Connections are numbered in the order in which they were accepted, from 1. */
  readonly number: number;
}

/** Who has sent a call, for telling its copies from others that look the same. */
export interface Sender {
  readonly origin: Origin;
  readonly clientKey: ClientKey;
  /** The credential of the present call has a stamp (RFC 5531 appendix A) that only this run of the client has. */
  readonly hasOwnStamp: boolean;
}
