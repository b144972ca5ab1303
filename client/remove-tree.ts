/**
 * Removes a directory with all that it holds. By file handles, so that no symbolic link that somebody puts in the way leads
 * elsewhere.
 */
import { NF3DIR, type nfs_fh3 } from '../protocol/nfs3.ts';
import { FilerPairError, hasCode } from './errors.ts';
import type { FileAccess } from './file-access.ts';
import type { IoSizes } from './mount.ts';
import type { DirectoryEntry, Name, Nfs3Client } from './nfs3-client.ts';
import type { Operation } from './operation.ts';

/** REMOVEs in flight. */
const WINDOW = 8;

interface NamedDirectory {
  /** The directory that holds it, and its name there. */
  readonly dir: nfs_fh3;
  readonly name: Name;
  readonly handle: nfs_fh3;
}

/** Removes what has this name in a directory; a directory only if `recursive`. */
export async function removeEntry(
  { nfs, sizes }: FileAccess,
  dir: nfs_fh3,
  name: Name,
  recursive: boolean,
  operation: Operation,
): Promise<void> {
  const { handle, attributes } = await nfs.lookup(dir, name, operation);
  if (attributes.type !== NF3DIR) await nfs.remove(dir, name, operation);
  else if (recursive) await removeTree(nfs, { dir, name, handle }, sizes, operation);
  else throw new FilerPairError('ERR_FS_EISDIR', 'is a directory: remove it with recursive', operation);
}

/** An entry that others remove meanwhile is no error. */
async function removeTree(
  nfs: Nfs3Client,
  { dir, name, handle }: NamedDirectory,
  sizes: IoSizes,
  operation: Operation,
): Promise<void> {
  // The whole list first: what is removed on the way could make a server repeat or skip names.
  const entries: DirectoryEntry[] = [];
  for await (const entry of nfs.entries(handle, sizes.listingSize, operation)) entries.push(entry);
  let next = 0;
  const work = async () => {
    for (let entry = entries[next++]; entry !== undefined; entry = entries[next++]) {
      const child = { dir: handle, name: entry.nameBytes };
      await unlessGone(async () => {
        const found =
          entry.handle !== null && entry.attributes !== null
            ? { handle: entry.handle, attributes: entry.attributes }
            : await nfs.lookup(handle, entry.nameBytes, operation);
        if (found.attributes.type !== NF3DIR) await nfs.remove(handle, entry.nameBytes, operation);
        else await removeTree(nfs, { ...child, handle: found.handle }, sizes, operation);
      });
    }
  };
  // All of them, so that nothing goes on behind an error.
  const done = await Promise.allSettled(Array.from({ length: WINDOW }, work));
  const failed = done.find((each) => each.status === 'rejected');
  if (failed !== undefined) throw failed.reason;
  await unlessGone(() => nfs.rmdir(dir, name, operation));
}

async function unlessGone(work: () => Promise<unknown>): Promise<void> {
  try {
    await work();
  } catch (error) {
    if (!hasCode(error, 'ENOENT', 'ESTALE')) throw error;
  }
}
