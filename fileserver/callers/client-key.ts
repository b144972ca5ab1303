/**
 * The client that a connection's calls are of, for the duplicate request cache. A reply is given again only to the client that
 * sent the call, and no other client's call is taken for that one, even if it is the same to the byte.
 */
import { hash } from 'node:crypto';
import { networkOf } from '../../kubernetes/client-network.ts';
import { CLIENT_KEY_SIZE } from '../storage/journal/journal-records.ts';
import type { ClientKey } from './origin.ts';

//   a client that says who it is (IDENTIFY, protocol/succession.ts)   that, wherever it comes from
//   any other: kernels' clients without our proxy                     its address; of an IPv6 address the first 64 bits
//
// A hash, since it goes into the journal and into the log: who reads those has not got the identity.

/** host: the client's address, without port. */
export function keyOfAddress(host: string): ClientKey {
  return keyOf('address', Buffer.from(networkOf(host)));
}

export function keyOfIdentity(identity: Uint8Array): ClientKey {
  return keyOf('identity', identity);
}

function keyOf(kind: string, who: Uint8Array): ClientKey {
  const digest = hash('sha256', Buffer.concat([Buffer.from(`${kind} `), who]), 'buffer');
  const bytes = Uint8Array.from(digest.subarray(0, CLIENT_KEY_SIZE));
  return { text: Buffer.from(bytes).toString('latin1'), words: new Int32Array(bytes.buffer) };
}
