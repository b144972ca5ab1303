/** What the owners before have left in the journal's segments, for who comes after them. Pure. */
import {
  KEY_SIZE,
  type ParsedSegment,
  payloadSizeAt,
  RECORD_HEADER_SIZE,
  RecordType,
  typeAt,
} from './journal-records.ts';
import { StoredAnswers } from './stored-answers.ts';

export interface ReadSegment extends ParsedSegment {
  /** What its records lie in. */
  readonly bytes: Uint8Array;
}

export interface LeftBehind {
  /** Oldest first. */
  readonly answers: StoredAnswers;
  /** Payloads of intents that have no answer, views: perhaps executed, perhaps not. */
  readonly intents: readonly Uint8Array[];
}

/** A record of one of these segments. */
type Visitor = (type: number, key: string, buffer: Buffer, start: number, end: number) => void;

/** Of segments in the order of their use. */
export function leftBehind(segments: readonly ReadSegment[]): LeftBehind {
  const answers = new StoredAnswers(answersSize(segments));
  const intents = new Map<string, Uint8Array>();
  visit(segments, (type, key, buffer, start, end) => {
    if (type === RecordType.intent)
      intents.set(key, new Uint8Array(buffer.buffer, buffer.byteOffset + start, end - start));
    else intents.delete(key);
    if (type === RecordType.copiedReply) answers.add(key, buffer, start, end);
  });
  // Those that were copied are older than all others.
  visit(segments, (type, key, buffer, start, end) => {
    if (type === RecordType.reply) answers.add(key, buffer, start, end);
  });
  return { answers, intents: [...intents.values()] };
}

function answersSize(segments: readonly ReadSegment[]): number {
  let size = 0;
  for (const { bytes, records } of segments) {
    const view = viewOf(bytes);
    for (const at of records) if (typeAt(view, at) !== RecordType.intent) size += payloadSizeAt(view, at);
  }
  return size;
}

function visit(segments: readonly ReadSegment[], visitor: Visitor): void {
  for (const { bytes, records } of segments) {
    const view = viewOf(bytes);
    const buffer = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length);
    for (const at of records) {
      const type = typeAt(view, at);
      if (type === RecordType.snapshotEnd) continue;
      const start = at + RECORD_HEADER_SIZE;
      const key = buffer.toString('latin1', start, start + KEY_SIZE);
      visitor(type, key, buffer, start, start + payloadSizeAt(view, at));
    }
  }
}

function viewOf(bytes: Uint8Array): DataView {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
}
