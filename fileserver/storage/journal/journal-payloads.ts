/**
 * Payloads of the journal's records. Both begin with the first part of the request's key, which call it is, and end with the second,
 * whose it is. Versions before did not know that one, and do not look behind what they know. Theirs end without it. Numbers are
 * XDR (RFC 4506), big-endian.
 */
import { paddedSize, XdrReader, XdrWriter } from '../../../protocol/xdr.ts';
import { BytePool } from '../../system/byte-pool.ts';
import type { Identity } from '../../system/thread-identity.ts';
import { CLIENT_KEY_SIZE, KEY_SIZE, PAYLOAD_SIZE_MAX } from './journal-records.ts';

export interface IntentRecord {
  /** KEY_SIZE bytes of a record of a version before, and CLIENT_KEY_SIZE more of any other. latin1 */
  readonly key: string;
  /** NFS procedure number. */
  readonly procedure: number;
  /** As whom it is executed, squashing done. Of more groups than GROUPS_KEPT_MAX the first so many. */
  readonly identity: Identity;
  /** The call's arguments, as they came. A view when decoded. */
  readonly args: Uint8Array;
  /** Evidence that tells afterwards whether it was executed; the procedure's own format. A view when decoded. */
  readonly evidence: Uint8Array;
}

/**
 * Groups of a user that an intent keeps: 16 KiB of a record. A user has more through the server's name services alone. The others
 * are missed only where a half executed operation of that user has to be completed after a crash, by a right through one of them.
 * Then it is not completed, and the client is told that the user may not.
 */
export const GROUPS_KEPT_MAX = 4096;
const OPAQUE_SIZE_MAX = PAYLOAD_SIZE_MAX;
/** Where the procedure's results begin in an answer's payload: behind the key and their length. */
export const RESULTS_AT = KEY_SIZE + 4;
/** The number of groups in an intent's: behind key, procedure and the ids of user and group. */
const GROUPS_AT = KEY_SIZE + 12;
const NOTHING = new Uint8Array(0);
const w = new XdrWriter();
/** Answers are kept for as long as clients might ask again. */
const answerMemory = new BytePool();
/** Intents, until they are in the journal. */
const intentMemory = new BytePool();

function writeKey(key: string): void {
  copyKey(key, 0, KEY_SIZE, w.bytes, w.position);
  w.position += KEY_SIZE;
}

function writeClientKey(key: string): void {
  const size = key.length - KEY_SIZE;
  w.ensure(size);
  copyKey(key, KEY_SIZE, key.length, w.bytes, w.position);
  w.position += size;
}

function copyKey(key: string, from: number, to: number, bytes: Uint8Array, at: number): void {
  for (let i = from; i < to; i++) bytes[at + i - from] = key.charCodeAt(i);
}

function readKey(r: XdrReader): string {
  const { buffer, byteOffset, length } = r.opaqueFixed(KEY_SIZE);
  return Buffer.from(buffer, byteOffset, length).toString('latin1');
}

/** Key of the answer whose payload is bytes[start .. end). */
export function keyOfAnswer(bytes: Buffer, start: number, end: number): string {
  return keyWith(bytes, start, start + RESULTS_AT + paddedSize(resultsSizeIn(bytes, start, end)), end);
}

/** Key of the intent whose payload is bytes[start .. end). */
export function keyOfIntent(bytes: Buffer, start: number, end: number): string {
  const wordAt = (at: number): number => (at + 4 <= end ? bytes.readUInt32BE(at) : 0);
  const groupsAt = start + GROUPS_AT;
  const argsAt = groupsAt + 4 + 4 * wordAt(groupsAt);
  const evidenceAt = argsAt + 4 + paddedSize(wordAt(argsAt));
  return keyWith(bytes, start, evidenceAt + 4 + paddedSize(wordAt(evidenceAt)), end);
}

/** The client's part of the key, if there is one, begins at `clientAt`. */
function keyWith(bytes: Buffer, start: number, clientAt: number, end: number): string {
  const request = bytes.toString('latin1', start, start + KEY_SIZE);
  return end - clientAt === CLIENT_KEY_SIZE ? request + bytes.toString('latin1', clientAt, end) : request;
}

/** A copy of results that lies in its answer's payload: payloadAround() says what to append. */
export function resultsToKeep(key: string, results: Uint8Array): Uint8Array {
  const size = results.length;
  const clientAt = RESULTS_AT + paddedSize(size);
  const payload = answerMemory.take(clientAt + key.length - KEY_SIZE);
  copyKey(key, 0, KEY_SIZE, payload, 0);
  for (let i = 0; i < 4; i++) payload[KEY_SIZE + i] = size >>> (24 - 8 * i);
  payload.set(results, RESULTS_AT);
  copyKey(key, KEY_SIZE, key.length, payload, clientAt);
  return payload.subarray(RESULTS_AT, RESULTS_AT + size);
}

/** The payload of an answer that is not kept. */
export function encodeReplyRecord(key: string, results: Uint8Array): Uint8Array {
  return payloadAround(key, resultsToKeep(key, results));
}

/** Bytes of the procedure's results in an answer's payload, which begins at `start` and ends at `end` or before. */
export function resultsSizeIn(bytes: Buffer, start: number, end: number): number {
  const size = bytes.readUInt32BE(start + KEY_SIZE);
  if (start + RESULTS_AT + size > end)
    throw new RangeError(`an answer of ${size} bytes in too small a record`);
  return size;
}

/**
 * Results of an operation that was settled without an answer: its caller was told SYSTEM_ERR. The record ends its intent, and
 * is the answer to nothing.
 */
export function noResults(key: string): Uint8Array {
  return resultsToKeep(key, NOTHING);
}

/** The nfsstat3 that results begin with (RFC 1813 §2.6): the journal keeps no status beside them. */
export function statusOfResults(results: Uint8Array): number {
  return ((results[0]! << 24) | (results[1]! << 16) | (results[2]! << 8) | results[3]!) >>> 0;
}

/** Results that lie in their answer's payload: a view of it. */
export function payloadAround(key: string, results: Uint8Array): Uint8Array {
  const size = RESULTS_AT + paddedSize(results.length) + key.length - KEY_SIZE;
  return new Uint8Array(results.buffer, results.byteOffset - RESULTS_AT, size);
}

/** May be longer than a record of the journal can be (PAYLOAD_SIZE_MAX): who appends it has to look. */
export function encodeIntentRecord(record: IntentRecord): Uint8Array {
  const { uid, gid, groups } = record.identity;
  const kept = Math.min(groups.length, GROUPS_KEPT_MAX);
  w.reset();
  writeKey(record.key);
  w.u32(record.procedure);
  w.u32(uid);
  w.u32(gid);
  w.u32(kept);
  for (let i = 0; i < kept; i++) w.u32(groups[i]!);
  w.opaque(record.args);
  w.opaque(record.evidence);
  writeClientKey(record.key);
  const written = w.writtenNow();
  const payload = intentMemory.take(written.length);
  payload.set(written);
  return payload;
}

/** Throws XdrError for what encodeIntentRecord() has not written. As many groups as there are: another version may keep more. */
export function decodeIntentRecord(payload: Uint8Array): IntentRecord {
  const r = new XdrReader(payload);
  const key = readKey(r);
  const procedure = r.u32();
  const uid = r.u32();
  const gid = r.u32();
  const count = r.u32();
  const groups: number[] = [];
  for (let i = 0; i < count; i++) groups.push(r.u32());
  const args = r.opaque(OPAQUE_SIZE_MAX);
  const evidence = r.opaque(OPAQUE_SIZE_MAX);
  const clientKey = r.remaining === CLIENT_KEY_SIZE ? readKey(r) : '';
  return { key: key + clientKey, procedure, identity: { uid, gid, groups }, args, evidence };
}
