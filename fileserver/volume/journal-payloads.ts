/** What the journal's records say. Both begin with the request's key. Numbers are XDR (RFC 4506), big-endian. */
import { paddedSize, XdrReader, XdrWriter } from '../../protocol/xdr.ts';
import type { Identity } from '../system/thread-identity.ts';
import { BytePool } from './byte-pool.ts';
import { KEY_SIZE } from './journal-records.ts';

export interface IntentRecord {
  readonly key: string;
  /** NFS procedure number. */
  readonly procedure: number;
  /** As whom it is executed, squashing done. */
  readonly identity: Identity;
  /** The call's arguments, as they came. A view when decoded. */
  readonly args: Uint8Array;
  /** What tells afterwards whether it was executed; the procedure's own format. A view when decoded. */
  readonly evidence: Uint8Array;
}

const GROUPS_MAX = 1024;
const OPAQUE_SIZE_MAX = 64 * 1024;
/** Where the procedure's results begin in an answer's payload: behind the key and their length. */
export const RESULTS_AT = KEY_SIZE + 4;
const w = new XdrWriter();
/** Answers are kept for as long as clients might ask again. */
const answerMemory = new BytePool();
/** Intents, until they are in the journal. */
const intentMemory = new BytePool();

function writeKey(key: string): void {
  w.ensure(KEY_SIZE);
  const { bytes, position } = w;
  for (let i = 0; i < KEY_SIZE; i++) bytes[position + i] = key.charCodeAt(i);
  w.position = position + KEY_SIZE;
}

function readKey(r: XdrReader): string {
  const { buffer, byteOffset } = r.opaqueFixed(KEY_SIZE);
  return Buffer.from(buffer, byteOffset, KEY_SIZE).toString('latin1');
}

/** A copy of results, bytes[0 .. size), that lies in its answer's payload: payloadAround() says what to append. */
export function resultsToKeep(key: string, bytes: Uint8Array, size: number): Uint8Array {
  w.reset();
  writeKey(key);
  w.u32(size);
  const payload = answerMemory.take(RESULTS_AT + paddedSize(size));
  payload.set(w.written());
  payload.set(size === bytes.length ? bytes : bytes.subarray(0, size), RESULTS_AT);
  return payload.subarray(RESULTS_AT, RESULTS_AT + size);
}

/** The payload of an answer that is not kept. */
export function encodeReplyRecord(key: string, results: Uint8Array): Uint8Array {
  return payloadAround(resultsToKeep(key, results, results.length));
}

/** Bytes of the procedure's results in an answer's payload, which begins at `start` and ends at `end` or before. */
export function resultsSizeIn(bytes: Buffer, start: number, end: number): number {
  const size = bytes.readUInt32BE(start + KEY_SIZE);
  if (start + RESULTS_AT + size > end)
    throw new RangeError(`an answer of ${size} bytes in too small a record`);
  return size;
}

/** Results that lie in their answer's payload: a view of it. */
export function payloadAround(results: Uint8Array): Uint8Array {
  const size = RESULTS_AT + paddedSize(results.length);
  return new Uint8Array(results.buffer, results.byteOffset - RESULTS_AT, size);
}

export function encodeIntentRecord(record: IntentRecord): Uint8Array {
  w.reset();
  writeKey(record.key);
  w.u32(record.procedure);
  w.u32(record.identity.uid);
  w.u32(record.identity.gid);
  w.u32(record.identity.groups.length);
  for (const group of record.identity.groups) w.u32(group);
  w.opaque(record.args);
  w.opaque(record.evidence);
  return intentMemory.copy(w.bytes, 0, w.position);
}

export function decodeIntentRecord(payload: Uint8Array): IntentRecord {
  const r = new XdrReader(payload);
  const key = readKey(r);
  const procedure = r.u32();
  const uid = r.u32();
  const gid = r.u32();
  const count = Math.min(r.u32(), GROUPS_MAX);
  const groups: number[] = [];
  for (let i = 0; i < count; i++) groups.push(r.u32());
  const args = r.opaque(OPAQUE_SIZE_MAX);
  return { key, procedure, identity: { uid, gid, groups }, args, evidence: r.opaque(OPAQUE_SIZE_MAX) };
}
