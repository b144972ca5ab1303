/**
 * After a takeover or restart: fills the duplicate request cache from the journal and settles the operations that
 * have an intent but no answer. Each is either found executed, completed and answered, or forgotten: then the client
 * will send it again and it will be executed.
 */
import { XdrError, XdrReader } from '../../protocol/xdr.ts';
import type { FileTable } from '../volume/file-table.ts';
import { FlushSet } from '../volume/flush-set.ts';
import type { JournalContents } from '../volume/journal.ts';
import { decodeIntentRecord, decodeReplyRecord, encodeReplyRecord } from '../volume/journal-payloads.ts';
import { BatchBuilder, KEY_SIZE, RecordType } from '../volume/journal-records.ts';
import { ReplyCache } from '../volume/reply-cache.ts';
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
  const { replies, intents } = volume.takeLeftBehind();
  const contents = restoreAnswers(replies, cache);
  const flushes = new FlushSet(volume, table);
  let completed = 0;
  for (const payload of intents) if (settle(service, payload, cache, flushes, onStep)) completed += 1;
  const result = await new Promise<number>((resolve) => flushes.flush((worst) => resolve(worst)));
  if (result < 0) {
    throw new VolumeOpenError('IoError', `volume ${volume.spec.name} can't be flushed (errno ${-result})`);
  }
  await withReserve(volume.reserve, () => volume.journal.begin(contents));
  return { answers: replies.length, completed, forgotten: intents.length - completed };
}

/** Fills the cache, and says what it will hold as records, most of them as they were found. */
function restoreAnswers(replies: readonly Uint8Array[], cache: ReplyCache): JournalContents {
  const restored = new Map<string, { readonly payload: Uint8Array; readonly results: Uint8Array }>();
  for (const payload of replies) {
    const { key, results } = decodeReplyRecord(payload);
    // A copy: a view would keep the whole segment in memory.
    restored.set(key, { payload, results: results.slice() });
  }
  cache.restore(restored);
  return {
    *replies() {
      for (const { key, results } of cache.answers()) {
        const before = restored.get(key);
        yield before?.results === results ? before.payload : encodeReplyRecord(key, results);
      }
    },
  };
}

/** Answers; a usual number of a busy server. */
const REHEARSED = 2000;

/**
 * What recover() does with answers, with made-up ones and no volume: code that has run thousands of times is compiled, so
 * that clients of the first takeover in the life of a process do not wait for that.
 */
export function rehearseRecovery(): void {
  const results = new Uint8Array(120);
  const made = Array.from({ length: REHEARSED }, (_, number) =>
    encodeReplyRecord(String(number).padStart(KEY_SIZE, '0'), results),
  );
  const builder = new BatchBuilder();
  for (const payload of restoreAnswers(made, new ReplyCache()).replies())
    builder.add(1, 1, RecordType.copiedReply, payload);
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
