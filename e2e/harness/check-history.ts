/** Compares what the writer was told with what is on the disk. Pure: history and disk in, verdict out. */
import {
  type HistoryEntry,
  LINE_SIZE,
  type LineAcknowledged,
  lineText,
  type OperationAnswered,
} from '../writer/history.ts';
import { expectedAfter } from '../writer/workload.ts';

/** The directories that the rounds of operations left, by path below the run's directory. */
export interface FoundEntry {
  readonly kind: 'directory' | 'file';
  /** Permission bits. */
  readonly mode: number;
}

export interface FoundOnDisk {
  /** The file of lines. */
  readonly lines: Buffer;
  readonly entries: ReadonlyMap<string, FoundEntry>;
}

export interface Verdict {
  readonly acknowledged: number;
  /** Acknowledged lines and operations whose effect is missing, in words. */
  readonly lost: readonly string[];
  /** Answers that only a second execution explains, in words. */
  readonly duplicated: readonly string[];
  /** Longest time in ms without an acknowledgement, after each mark. */
  readonly gapMs: ReadonlyMap<string, number>;
}

/** Procedures and the answer that a second execution gives: RFC 1813 §3.3.2, 3.3.8 to 3.3.15. */
const SECOND_TIME: Readonly<Record<string, number>> = {
  CREATE: 17, // NFS3ERR_EXIST
  MKDIR: 17,
  LINK: 17,
  RENAME: 2, // NFS3ERR_NOENT
  REMOVE: 2,
  SETATTR: 10002, // NFS3ERR_NOT_SYNC
};

/** What is before the first mark counts under this name. */
export const BEFORE = 'undisturbed';

export function checkHistory(run: string, history: readonly HistoryEntry[], disk: FoundOnDisk): Verdict {
  const lines = history.filter((entry) => entry.kind === 'line');
  const operations = history.filter((entry) => entry.kind === 'operation');
  return {
    acknowledged: lines.length + operations.filter((entry) => entry.status === 0).length,
    lost: [...lostLines(run, lines, disk.lines), ...lostOperations(operations, disk.entries)],
    duplicated: operations
      .filter(isSecondTime)
      .map((entry) => `${entry.procedure} ${entry.path} was executed twice (status ${entry.status})`),
    gapMs: longestGaps(history),
  };
}

function lostLines(run: string, lines: readonly LineAcknowledged[], content: Buffer): string[] {
  return lines.flatMap(({ number }) => {
    const found = content.subarray(number * LINE_SIZE, (number + 1) * LINE_SIZE).toString();
    return found === lineText(run, number)
      ? []
      : [`line ${number} is missing: ${JSON.stringify(found)} stands in its place`];
  });
}

function isSecondTime(entry: OperationAnswered): boolean {
  return entry.status === SECOND_TIME[entry.procedure];
}

/**
 * Every round whose operations were all answered must have left exactly what expectedAfter() says. Of the last
 * round, which may be incomplete, each acknowledged operation must show unless a later one took its effect away.
 */
function lostOperations(operations: readonly OperationAnswered[], entries: FoundOnDisk['entries']): string[] {
  const wrong = operations
    .filter((entry) => entry.status !== 0 && !isSecondTime(entry))
    .map(
      (entry) =>
        `${entry.procedure} ${entry.path} was answered with status ${entry.status}: what it works on is not there`,
    );
  const byRound = Map.groupBy(
    operations.filter((entry) => entry.status === 0),
    (entry) => Number(/round-(\d+)/.exec(entry.path)![1]),
  );
  for (const [round, answered] of byRound) wrong.push(...lostOfRound(round, answered, entries));
  return wrong;
}

function lostOfRound(
  round: number,
  answered: readonly OperationAnswered[],
  entries: FoundOnDisk['entries'],
): string[] {
  const done = new Set(answered.map((entry) => entry.procedure));
  const expected = expectedAfter(round);
  const directory = `rounds/${expected.directory}`;
  const lost: string[] = [];
  const expectThere = (path: string, because: string, mode?: number) => {
    const found = entries.get(path);
    if (!found) lost.push(`${path} is missing: ${because} was acknowledged`);
    else if (mode !== undefined && found.mode !== mode) {
      lost.push(
        `${path} has mode ${found.mode.toString(8)} and not ${mode.toString(8)}: ${because} was acknowledged`,
      );
    }
  };
  const expectGone = (path: string, because: string) => {
    if (entries.has(path)) lost.push(`${path} is still there: ${because} was acknowledged`);
  };
  if (done.has('MKDIR')) expectThere(directory, 'MKDIR');
  if (done.has('CREATE')) expectThere(`${directory}/${expected.file}`, 'CREATE');
  if (done.has('SETATTR')) expectThere(`${directory}/${expected.file}`, 'SETATTR', expected.mode);
  if (done.has('RENAME')) expectGone(`${directory}/linked`, 'RENAME');
  // REMOVE may have been executed without its answer having been waited for: only then is either state right.
  if (done.has('REMOVE')) expectGone(`${directory}/renamed`, 'REMOVE');
  else if (done.has('RENAME') && expected.renamed !== null)
    expectThere(`${directory}/${expected.renamed}`, 'RENAME');
  return lost;
}

/**
 * Longest time between two acknowledgements in the span after each mark. Lines and operations are two loops that
 * wait on their own: a stuck operation must not hide behind lines that go on.
 */
function longestGaps(history: readonly HistoryEntry[]): Map<string, number> {
  const gaps = new Map<string, number>([[BEFORE, 0]]);
  let name = BEFORE;
  const last = new Map<string, number>();
  for (const entry of history) {
    if (entry.kind === 'mark') {
      name = entry.name;
      gaps.set(name, gaps.get(name) ?? 0);
    } else if (entry.kind === 'line' || entry.kind === 'operation') {
      const before = last.get(entry.kind);
      if (before !== undefined) gaps.set(name, Math.max(gaps.get(name)!, entry.answeredMs - before));
      last.set(entry.kind, entry.answeredMs);
    }
  }
  return gaps;
}
