/**
 * A program of our own, for what a client that follows its server from one place to another has to say and to ask, and NFSv3 has
 * no procedure for.
 */
import { NFS3_FHSIZE, NFS3_OK, NFS3ERR_STALE } from './nfs3/constants.ts';
import type { XdrReader, XdrWriter } from './xdr.ts';

// IDENTIFY: who is behind this connection, before its first call. What the server has answered to a call it answers again only to
// who has sent it: a client that says who it is finds its answers wherever it comes from, by whatever address. Random and
// known to nobody else, the same for all connections of a client, or of all clients of a proxy. The first one of a connection counts.
//
// ANNOUNCE: on which of its connections a client is now.
// A client that gives up a connection and goes on by another one may have left calls in the first that the server has not read.
// NFSv3 has no way to say that they are not to be executed any more, so a client of ours says it, before anything else that it
// sends by the new connection: I am the client with this number, and I am here now. The server executes nothing more that comes
// by connections on which the same client said so before. Any other server answers PROG_UNAVAIL, which does no harm.
//
// HOLDS: does this server serve the volume of a file handle? A client asks before it goes on by a connection: a name that
// leads to the wrong server must not turn into NFS3ERR_STALE for a file that is there. GETATTR is no substitute, since its
// NFS3ERR_STALE may also mean that the file has been removed. No disk is needed for the answer.

/** One of the numbers that RFC 5531 §8.1 leaves to users (0x20000000 to 0x3fffffff). */
export const SUCCESSION_PROGRAM = 0x2046_5031;
export const SUCCESSION_VERSION = 1;
/** Earlier servers answer PROC_UNAVAIL to HOLDS and IDENTIFY. */
export const successionproc1 = { NULL: 0, ANNOUNCE: 1, HOLDS: 2, IDENTIFY: 3 } as const;

/** Random, the same for all connections of one run of a client. Bytes. */
export const CLIENT_SIZE = 8;
/** Bytes. */
export const IDENTITY_SIZE = 16;

/** Arguments of ANNOUNCE. `client`: CLIENT_SIZE bytes. */
export function encodeAnnouncement(w: XdrWriter, client: Uint8Array): void {
  w.opaqueFixed(client);
}

/** A view. Throws XdrError. */
export function decodeAnnouncement(r: XdrReader): Uint8Array {
  const client = r.opaqueFixed(CLIENT_SIZE);
  r.expectEnd();
  return client;
}

/** Arguments of IDENTIFY. `identity`: IDENTITY_SIZE bytes. */
export function encodeIdentity(w: XdrWriter, identity: Uint8Array): void {
  w.opaqueFixed(identity);
}

/** A view. Throws XdrError. */
export function decodeIdentity(r: XdrReader): Uint8Array {
  const identity = r.opaqueFixed(IDENTITY_SIZE);
  r.expectEnd();
  return identity;
}

/** Arguments of HOLDS. `handle`: a file handle of NFSv3, 64 bytes at most (RFC 1813 §2.3.3). */
export function encodeHoldsArgs(w: XdrWriter, handle: Uint8Array): void {
  w.opaque(handle);
}

/** A view. Throws XdrError. */
export function decodeHoldsArgs(r: XdrReader): Uint8Array {
  const handle = r.opaque(NFS3_FHSIZE);
  r.expectEnd();
  return handle;
}

/** NFS3_OK: the volume is served here; NFS3ERR_STALE: it is not. */
export function encodeHoldsRes(w: XdrWriter, holds: boolean): void {
  w.u32(holds ? NFS3_OK : NFS3ERR_STALE);
}

/** Throws XdrError. */
export function decodeHoldsRes(r: XdrReader): boolean {
  return r.u32() === NFS3_OK;
}
