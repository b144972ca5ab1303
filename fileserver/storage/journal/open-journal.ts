/** Opens the journal that an owner left behind: decides which segments count, reads them and makes them durable. */
import { promisify } from 'node:util';
import { SystemCallError } from '../../system/errno.ts';
import { close, O_RDWR } from '../../system/file-calls.ts';
import { fdatasync } from '../../system/pool-calls.ts';
import { openPrivate } from '../private-files/private-files.ts';
import { Journal } from './journal.ts';
import { FILE_COUNT, journalFiles, readHeader, readSegment, SEGMENT_SIZE } from './journal-files.ts';
import type { SegmentHeader } from './journal-records.ts';
import { type ReadSegment, type RecoveredJournal, recoveredJournal } from './recovered-journal.ts';

const flushFd = promisify(fdatasync);

export interface Replay extends RecoveredJournal {
  readonly journal: Journal;
}

/** The medium has lost a record that later ones show to have been durable. The volume must not be served. */
export class JournalCorruptError extends Error {
  override readonly name = 'JournalCorruptError';
}

/**
 * Reads what an owner left behind, this one or another, and makes it durable. Its owner may have died before its first flush, and
 * the segment that is begun next is written over one that counted before it. The journal returned must be begun (Journal.begin)
 * before anything is appended. Throws JournalCorruptError.
 */
export async function openJournal(
  directory: string,
  uuid: Uint8Array,
  segmentSize = SEGMENT_SIZE,
): Promise<Replay> {
  const fds: number[] = [];
  const flushes: Promise<void>[] = [];
  try {
    const headers: SegmentHeader[] = [];
    for (const path of journalFiles(directory)) {
      const fd = openPrivate(path, O_RDWR);
      if (fd < 0) throw new SystemCallError(`open ${path}`, -fd);
      fds.push(fd);
      headers.push(await readHeader(fd, uuid));
    }
    const inOrder = [0, 1, 2].sort((a, b) => headers[b]!.sequence - headers[a]!.sequence);
    const segments: ReadSegment[] = [];
    const ends = new Map<number, Pick<ReadSegment, 'end' | 'batch'>>();
    let active = inOrder[0]!;
    for (const index of inOrder) {
      // While it is read.
      flushes.push(flushFd(fds[index]!));
      const segment = await readSegment(fds[index]!, headers[index]!, segmentSize);
      if (headers[index]!.sequence > 0) ends.set(index, { end: segment.end, batch: segment.batch });
      if (!segment.complete && headers[index]!.fresh) {
        // An owner died before it served: what it found still counts, and its segment is to be begun again.
        active = (index + FILE_COUNT - 1) % FILE_COUNT;
        continue;
      }
      segments.unshift(segment);
      // Else its owner died before everything was copied: the one before it counts too.
      if (segment.complete) break;
    }
    const damaged = segments.find(({ gap }) => gap);
    if (damaged !== undefined) {
      throw new JournalCorruptError(
        `the journal in ${directory} lost a record at byte ${damaged.end} that was acknowledged as durable`,
      );
    }
    await Promise.all(flushes);
    const sequence = Math.max(...headers.map((header) => header.sequence));
    const journal = new Journal(fds, uuid, active, sequence, segmentSize, { headers, ends });
    return { journal, ...recoveredJournal(segments) };
  } catch (error) {
    await Promise.allSettled(flushes);
    for (const fd of fds) close(fd);
    throw error;
  }
}
