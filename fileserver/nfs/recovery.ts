/**
 * After a takeover or restart: fills the duplicate request cache from the journal and settles the operations that
 * have an intent but no answer. Each is either found executed, completed and answered, or forgotten: then the client
 * will send it again and it will be executed.
 */
import { XdrError, XdrReader } from '../../protocol/xdr.ts';
import type { FileTable } from '../volume/file-table.ts';
import { FlushSet } from '../volume/flush-set.ts';
import type { Journal, JournalContents } from '../volume/journal.ts';
import { decodeIntentRecord, encodeReplyRecord, payloadAround } from '../volume/journal-payloads.ts';
import {
  BatchBuilder,
  KEY_SIZE,
  parseSegment,
  RecordType,
  SEGMENT_HEADER_SIZE,
} from '../volume/journal-records.ts';
import { leftBehind } from '../volume/left-behind.ts';
import { ReplyCache } from '../volume/reply-cache.ts';
import type { StoredAnswers } from '../volume/stored-answers.ts';
import type { Volume } from '../volume/volume.ts';
import { VolumeOpenError, withReserve } from '../volume/volume.ts';
import type { NfsService } from './call.ts';
import { operations, type StepListener } from './change.ts';

export interface RecoverySummary {
  readonly answers: number;
  /** Intents found executed and completed. */
  readonly completed: number;
  /** Intents that had not been begun. */
  readonly forgotten: number;
}

/** Operations of a group are settled in the order of their intents; none of them touched what another did. */
export async function recover(
  service: NfsService,
  volume: Volume,
  table: FileTable,
  cache: ReplyCache,
  onStep: StepListener,
): Promise<RecoverySummary> {
  const { answers, intents } = volume.takeLeftBehind();
  const contents = restoreAnswers(answers, cache);
  await volume.recorded;
  volume.reserve.begin();
  const flushes = new FlushSet(volume, table);
  let completed = 0;
  for (const payload of intents) if (settle(service, payload, cache, flushes, onStep)) completed += 1;
  const result = await new Promise<number>((resolve) => flushes.flush((worst) => resolve(worst)));
  if (result < 0) {
    throw new VolumeOpenError('IoError', `volume ${volume.spec.name} can't be flushed (errno ${-result})`);
  }
  await withReserve(volume.reserve, async () => {
    volume.journal.begin(contents);
    if (intents.length > 0 || mustBeWritten(volume)) await flushed(volume.journal);
  });
  return { answers: answers.count, completed, forgotten: intents.length - completed };
}

/** What stays dirty might be written by this machine's kernel after another has begun to serve (R9). Or find no space. */
function mustBeWritten({ spec, reserve }: Volume): boolean {
  return spec.writeThrough === true || reserve.needed;
}

function flushed(journal: Journal): Promise<void> {
  return new Promise((resolve, reject) => {
    journal.flush((error) => (error === null ? resolve() : reject(error)));
  });
}

/** Fills the cache, and says what it will hold as records, most of them as they were found. */
function restoreAnswers(answers: StoredAnswers, cache: ReplyCache): JournalContents {
  cache.restore(answers);
  return {
    intents: () => [],
    *replies() {
      for (const { results } of cache.answers()) yield payloadAround(results);
    },
  };
}

/** Answers; a usual number of a busy server. */
const REHEARSED = 2000;

/**
 * What an opening does with answers, with made-up ones and no volume: code that has run thousands of times is compiled, so
 * that clients of the first takeover in the life of a process do not wait for that.
 */
export function rehearseRecovery(): void {
  const results = new Uint8Array(120);
  const builder = new BatchBuilder();
  for (let number = 0; number < REHEARSED; number++) {
    const key = String(number).padStart(KEY_SIZE, '0');
    builder.add(1, 1, RecordType.copiedReply, encodeReplyRecord(key, results));
  }
  const bytes = new Uint8Array(SEGMENT_HEADER_SIZE + builder.size);
  bytes.set(builder.written, SEGMENT_HEADER_SIZE);
  const segment = parseSegment(bytes, { sequence: 1, batch: 1, fresh: true });
  const { answers } = leftBehind([{ ...segment, bytes }]);
  builder.reset();
  for (const payload of restoreAnswers(answers, new ReplyCache()).replies())
    builder.add(2, 1, RecordType.copiedReply, payload);
}

function settle(
  service: NfsService,
  payload: Uint8Array,
  cache: ReplyCache,
  flushes: FlushSet,
  onStep: StepListener,
): boolean {
  const { key, procedure, identity, args, evidence } = decodeIntentRecord(payload);
  const make = operations[procedure];
  if (make === undefined) return false;
  try {
    const operation = new make({ service, key, procedure, args: args.slice(), onStep });
    if (operation.bind(() => identity) !== null) return false;
    if (!operation.recover(new XdrReader(evidence), flushes)) return false;
    cache.complete(key, operation.results);
    return true;
  } catch (error) {
    // Written by a version that knew more: to forget it is to let the client ask again.
    if (error instanceof XdrError) return false;
    throw error;
  }
}
