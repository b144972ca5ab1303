/** Records that the owners before have left in the journal's segments, for their successor. Pure. */

import { keyOfAnswer, keyOfIntent, resultsSizeIn } from './journal-payloads.ts';
import {
  type ParsedSegment,
  payloadSizeAt,
  RECORD_HEADER_SIZE,
  RecordType,
  typeAt,
} from './journal-records.ts';
import { StoredAnswers } from './stored-answers.ts';

export interface ReadSegment extends ParsedSegment {
  /** The bytes in which its records lie. */
  readonly bytes: Uint8Array;
}

export interface RecoveredJournal {
  /** Oldest first. */
  readonly answers: StoredAnswers;
  /** Payloads of intents that have no answer, views: perhaps executed, perhaps not. */
  readonly intents: readonly Uint8Array[];
}

/** A record of one of these segments, by its number. */
type Visitor = (type: number, key: string, segment: number, start: number, end: number) => void;

/** Joins segments in the order of their use. */
export function recoveredJournal(segments: readonly ReadSegment[]): RecoveredJournal {
  const buffers = segments.map(({ bytes }) => Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length));
  const answers = new StoredAnswers(answersSize(segments));
  /** Where payloads of intents begin, by segment. Nearly all have an answer further on. */
  const open = segments.map(() => new Map<string, number>());
  const keys = segments.map((segment, number) => keysIn(segment, buffers[number]!));
  visit(segments, keys, (type, key, segment, start, end) => {
    for (const starts of open) if (starts.size > 0) starts.delete(key);
    if (type === RecordType.intent) open[segment]!.set(key, start);
    if (type === RecordType.copiedReply) answers.add(key, buffers[segment]!, start, end);
  });
  // Without results (noResults()) at last: what was answered to an earlier one of the same key is no longer the answer either.
  const unanswered = new Set<string>();
  // Replies that are there as copies alone are older than all others. Each other has the place of its first record. A copy of it may be
  // missing where copying was cut short, and forgotten replies are still there behind the older copies.
  visit(segments, keys, (type, key, segment, start, end) => {
    if (type !== RecordType.reply) return;
    answers.add(key, buffers[segment]!, start, end);
    if (resultsSizeIn(buffers[segment]!, start, end) === 0) unanswered.add(key);
    else if (unanswered.size > 0) unanswered.delete(key);
  });
  for (const key of unanswered) answers.delete(key);
  const intents = open.flatMap((starts, segment) =>
    [...starts.values()].map((start) => payloadAt(segments[segment]!.bytes, start)),
  );
  return { answers, intents };
}

function payloadAt(bytes: Uint8Array, start: number): Uint8Array {
  return bytes.subarray(start, start + payloadSizeAt(viewOf(bytes), start - RECORD_HEADER_SIZE));
}

function answersSize(segments: readonly ReadSegment[]): number {
  let size = 0;
  for (const { bytes, records } of segments) {
    const view = viewOf(bytes);
    for (const at of records) if (typeAt(view, at) !== RecordType.intent) size += payloadSizeAt(view, at);
  }
  return size;
}

/** Keys of the records; empty for the record that is about no request. */
function keysIn({ bytes, records }: ReadSegment, buffer: Buffer): string[] {
  const view = viewOf(bytes);
  return records.map((at) => {
    const type = typeAt(view, at);
    if (type === RecordType.snapshotEnd) return '';
    const start = at + RECORD_HEADER_SIZE;
    const end = start + payloadSizeAt(view, at);
    return type === RecordType.intent ? keyOfIntent(buffer, start, end) : keyOfAnswer(buffer, start, end);
  });
}

function visit(
  segments: readonly ReadSegment[],
  keys: readonly (readonly string[])[],
  visitor: Visitor,
): void {
  for (const [number, { bytes, records }] of segments.entries()) {
    const view = viewOf(bytes);
    for (const [index, at] of records.entries()) {
      const type = typeAt(view, at);
      if (type === RecordType.snapshotEnd) continue;
      const start = at + RECORD_HEADER_SIZE;
      visitor(type, keys[number]![index]!, number, start, start + payloadSizeAt(view, at));
    }
  }
}

function viewOf(bytes: Uint8Array): DataView {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
}
