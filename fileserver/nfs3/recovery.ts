/**
 * After a takeover or restart: fills the duplicate request cache from the journal and settles the operations that have an intent
 * but no answer. Each is either found executed, completed and answered, or forgotten: then the client will send it again and it
 * will be executed.
 */
import { XdrReader } from '../../protocol/xdr.ts';
import { DuplicateRequestCache } from '../storage/duplicate-requests/duplicate-request-cache.ts';
import type { Settled } from '../storage/duplicate-requests/operation-log-hooks.ts';
import type { FileTable } from '../storage/files/file-table.ts';
import { FlushSet } from '../storage/flush/flush-set.ts';
import type { Journal, JournalContents } from '../storage/journal/journal.ts';
import { decodeIntentRecord, encodeReplyRecord, payloadAround } from '../storage/journal/journal-payloads.ts';
import {
  BatchBuilder,
  CLIENT_KEY_SIZE,
  KEY_SIZE,
  parseSegment,
  RecordType,
  SEGMENT_HEADER_SIZE,
} from '../storage/journal/journal-records.ts';
import { withReserve } from '../storage/journal/journal-reserve.ts';
import { recoveredJournal } from '../storage/journal/recovered-journal.ts';
import type { StoredAnswers } from '../storage/journal/stored-answers.ts';
import { VolumeOpenError } from '../storage/volume/open-failure.ts';
import { unshareRecords } from '../storage/volume/unshared-records.ts';
import type { Volume } from '../storage/volume/volume.ts';
import { Request } from './journaled-procedure.ts';
import type { NfsContext } from './nfs-context.ts';
import { journaledProcedures } from './program.ts';

// One that can't be settled (its record is of a version that knew more, its user does not exist here, the code has a fault) is
// put aside. It is told, forgotten, and may be half executed. All others are settled, and the volume is served.

export interface RecoverySummary {
  readonly answers: number;
  /** Intents found executed and completed. */
  readonly completed: number;
  /** Intents that had not been begun. */
  readonly forgotten: number;
  /** Sentences about intents that could not be settled, for the log. */
  readonly putAside: readonly string[];
}

/**
 * Operations of a group are settled in the order of their intents; none of them touched what another did. Each with the rights
 * that it was recorded with: exports may have changed since.
 */
export async function recover(
  context: NfsContext,
  volume: Volume,
  table: FileTable,
  cache: DuplicateRequestCache,
): Promise<RecoverySummary> {
  let found = volume.takeRecoveredJournal();
  let contents = restoreAnswers(found.answers, cache);
  await volume.recorded;
  const since = await volume.recoveredSince();
  if (since !== null) {
    found = since;
    contents = restoreAnswers(since.answers, cache);
  }
  const { answers, intents } = found;
  const { gate } = volume;
  if (volume.reserve.needed) await unshareRecords(gate, volume.spec.path);
  volume.reserve.begin(gate);
  const flushes = new FlushSet(volume, table);
  let completed = 0;
  const putAside: string[] = [];
  context.diskSet.asRecorded(() => {
    for (const payload of intents) {
      const settled = settleIntent(context, payload, flushes);
      if (settled.outcome === 'completed') {
        cache.complete(settled.key, settled.results);
        completed += 1;
      } else if (settled.outcome === 'putAside') {
        putAside.push(settled.reason);
        if (settled.answer !== undefined) cache.complete(settled.answer.key, settled.answer.results);
        flushes.addAll();
      }
    }
  });
  const result = await new Promise<number>((resolve) => flushes.flush((worst) => resolve(worst)));
  if (result < 0) {
    throw new VolumeOpenError('IoError', `volume ${volume.spec.name} can't be flushed (errno ${-result})`);
  }
  await withReserve(gate, volume.reserve, async () => {
    volume.journal.begin(contents, gate);
    if (intents.length > 0 || mustBeWritten(volume)) await flushed(volume.journal);
  });
  const forgotten = intents.length - completed - putAside.length;
  return { answers: answers.count, completed, forgotten, putAside };
}

/** Dirty pages might be written by this machine's kernel after another has begun to serve (R9). Or find no space. */
function mustBeWritten({ spec, reserve }: Volume): boolean {
  return spec.writeThrough === true || reserve.failsLate;
}

function flushed(journal: Journal): Promise<void> {
  return new Promise((resolve, reject) => {
    journal.flush((error) => (error === null ? resolve() : reject(error)));
  });
}

/** Fills the cache, and says what it will hold as records, most of them as they were found. */
function restoreAnswers(answers: StoredAnswers, cache: DuplicateRequestCache): JournalContents {
  cache.restore(answers);
  return {
    intents: () => [],
    *replies() {
      for (const { key, results } of cache.replies()) yield payloadAround(key, results);
    },
  };
}

/** Answers; a usual number of a busy server. */
const WARM_UP_ROUNDS = 2000;

/**
 * Does an opening's work on answers, with made-up ones and no volume. Code that has run thousands of times is compiled, so that
 * clients of the first takeover in the life of a process do not wait for that.
 */
export function warmUpRecovery(): void {
  const results = new Uint8Array(120);
  const builder = new BatchBuilder();
  for (let number = 0; number < WARM_UP_ROUNDS; number++) {
    const key = String(number).padStart(KEY_SIZE + CLIENT_KEY_SIZE, '0');
    builder.add(1, 1, RecordType.copiedReply, encodeReplyRecord(key, results));
  }
  const bytes = new Uint8Array(SEGMENT_HEADER_SIZE + builder.size);
  bytes.set(builder.written, SEGMENT_HEADER_SIZE);
  const segment = parseSegment(bytes, { sequence: 1, batch: 1, fresh: true });
  const { answers } = recoveredJournal([{ ...segment, bytes }]);
  builder.reset();
  for (const payload of restoreAnswers(answers, new DuplicateRequestCache()).replies())
    builder.add(2, 1, RecordType.copiedReply, payload);
}

/**
 * Looks at the file system whether the operation of an intent was executed; if so it is completed. Never throws. The queue
 * asks it too, of an operation that has thrown while it was executed.
 */
export function settleIntent(context: NfsContext, payload: Uint8Array, flushes: FlushSet): Settled {
  let what = `an intent of ${payload.length} bytes`;
  const errorsBefore = errorsSoFar(context);
  try {
    const { key, procedure, identity, args, evidence } = decodeIntentRecord(payload);
    what = `operation ${Buffer.from(key, 'latin1').toString('hex')}`;
    const journaled = journaledProcedures.get(procedure);
    if (journaled === undefined)
      throw new Error(`this version has no operation with the number ${procedure}`);
    const request = new Request(context, key, journaled, args.slice(), () => identity);
    what = `${request.operation} ${Buffer.from(key, 'latin1').toString('hex')}`;
    const recovered = request.recover(new XdrReader(evidence), flushes);
    if (recovered !== null) return { outcome: 'completed', key, ...recovered };
    if (errorsSoFar(context) === errorsBefore) return NOT_BEGUN;
    // Not known is not the same as not begun: executed again it might undo what others have done since.
    const results = request.refuse('ioError');
    const reason = `${what} can't be settled: what it was to change can't be read, so whether it was executed is not known`;
    return { outcome: 'putAside', reason, answer: { key, results } };
  } catch (error) {
    return { outcome: 'putAside', reason: `${what} can't be settled: ${(error as Error).message}` };
  }
}

const NOT_BEGUN: Settled = { outcome: 'notBegun' };

/** Errors of disks, and of resources that the server lacked: errno-outcomes.ts. */
function errorsSoFar({ diskSet }: NfsContext): number {
  let total = 0;
  for (const { errors } of diskSet.volumes.values()) total += errors.total;
  return total;
}
