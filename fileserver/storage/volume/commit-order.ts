/**
 * Parts that a file system's own commit carries to the disk, and their order: decides how many flushes a group of operations needs
 * (operation-log.ts). Pure; docs/fileserver-exactly-once.md gives the argument for each file system.
 */
import type { Mount } from '../../system/mounts.ts';

// With one flush, intents are *written* (the device has them, perhaps in a volatile cache) before the operations are executed.
// That is enough where a metadata change becomes durable only by a commit that flushes the device's cache before its commit
// record (REQ_PREFLUSH). The flush comes after the operation, so after the intents were written, and makes them durable first.
// Whatever commits: our fsync, that of another process, or the file system's own timer.

type Options = Omit<Mount, 'root'>;

export interface CommitOrder {
  /**
   * A new entry is durable with its directory. Changes of metadata become durable in the order in which they were made, and an
   * fsync of a directory makes all of them durable up to its own last one.
   */
  readonly orderedMetadata: boolean;
  /** writeOut: intents are written, and durable no later than what they announce. flush: they need a flush first. */
  readonly intents: 'writeOut' | 'flush';
  /** Why; for the log. */
  readonly reason: string;
}

const UNORDERED: Omit<CommitOrder, 'reason'> = { orderedMetadata: false, intents: 'flush' };

/** internalJournal: of ext4 only; null where it is not known. */
export function commitOrderOf(mount: Options | null, internalJournal: boolean | null): CommitOrder {
  if (mount === null) return { ...UNORDERED, reason: 'it is not known how the volume is mounted' };
  switch (mount.type) {
    case 'ext3':
    case 'ext4':
      return orderOfExt4(mount, internalJournal);
    case 'xfs':
      return orderOfXfs(mount);
    default:
      return { ...UNORDERED, reason: `${mount.type} promises no order between data and metadata` };
  }
}

function orderOfExt4({ type, options }: Options, internalJournal: boolean | null): CommitOrder {
  if (internalJournal !== true) {
    const reason =
      internalJournal === null
        ? 'it is not known whether it has a journal'
        : 'no journal of its own on its device';
    return { ...UNORDERED, reason: `${type}: ${reason}` };
  }
  const disturbing = options.find(
    (option) =>
      // No flush before the commit record.
      option === 'nobarrier' ||
      option === 'barrier=0' ||
      option === 'journal_async_commit' ||
      // Writes don't pass through the page cache.
      option.startsWith('dax'),
  );
  return inOrder(type, disturbing);
}

function orderOfXfs({ options }: Options): CommitOrder {
  const disturbing = options.find(
    (option) =>
      option === 'nobarrier' ||
      // The log or the journal file may be on another device than the one whose cache is flushed.
      option.startsWith('logdev=') ||
      option.startsWith('rtdev=') ||
      option.startsWith('dax'),
  );
  return inOrder('xfs', disturbing);
}

function inOrder(type: string, disturbing: string | undefined): CommitOrder {
  if (disturbing !== undefined) {
    return { orderedMetadata: true, intents: 'flush', reason: `${type} is mounted with ${disturbing}` };
  }
  return {
    orderedMetadata: true,
    intents: 'writeOut',
    reason: `${type} flushes the device's cache before it commits`,
  };
}
