// A program of our own: on which of its connections a client is now.
//
// A client that gives up a connection and goes on by another one may have left calls in the first that the server has not read.
// NFSv3 has no way to say that they are not to be executed any more, so a client of ours says it, before anything else that it
// sends by the new connection: I am the client with this number, and I am here now. The server executes nothing more that comes
// by connections on which the same client said so before. Any other server answers PROG_UNAVAIL, which does no harm.
import type { XdrReader, XdrWriter } from './xdr.ts';

/** Of the numbers that RFC 5531 §8.1 leaves to users (0x20000000 to 0x3fffffff). */
export const SUCCESSION_PROGRAM = 0x2046_5031;
export const SUCCESSION_VERSION = 1;
export const successionproc1 = { NULL: 0, ANNOUNCE: 1 } as const;

/** Random, the same for all connections of one run of a client. Bytes. */
export const CLIENT_SIZE = 8;

export function encodeAnnouncement(w: XdrWriter, client: Uint8Array): void {
  w.opaqueFixed(client);
}

/** A view. Throws XdrError. */
export function decodeAnnouncement(r: XdrReader): Uint8Array {
  const client = r.opaqueFixed(CLIENT_SIZE);
  r.expectEnd();
  return client;
}
