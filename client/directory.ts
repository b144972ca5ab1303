/** Directories in the shape of node:fs: Dirent and Dir. */

import type { fattr3, nfs_fh3 } from '../protocol/nfs3.ts';
import { cancellable } from './cancellable.ts';
import { FilerPairError, hasCode } from './errors.ts';
import type { DirectoryEntry, Nfs3Client } from './nfs3-client.ts';
import { Operation, type OperationOptions } from './operation.ts';
import type { Operations } from './operations.ts';
import { pathBytes, pathText } from './path.ts';
import { FileType } from './stats.ts';

/** `buffer`: names as bytes, also those that are no UTF-8. */
export type NameEncoding = BufferEncoding | 'buffer' | null;

/**
 * An entry of a directory: fs.Dirent.
 *
 * @see https://nodejs.org/docs/latest-v24.x/api/fs.html#class-fsdirent
 */
export class Dirent<NameType extends string | Buffer = string> extends FileType {
  readonly name: NameType;
  /** On the server. */
  readonly parentPath: string;
  /** Attributes that the server sent in the listing. */
  readonly attributes: fattr3;
  /** For Nfs3Client; not in Node. */
  readonly nfsHandle: nfs_fh3;

  constructor(name: NameType, parentPath: string, attributes: fattr3, nfsHandle: nfs_fh3) {
    super();
    this.name = name;
    this.parentPath = parentPath;
    this.attributes = attributes;
    this.nfsHandle = nfsHandle;
  }

  protected get fileType(): number {
    return this.attributes.type;
  }
}

/** A directory by its handle, for the functions below. */
export interface ListedDirectory {
  readonly nfs: Nfs3Client;
  readonly handle: nfs_fh3;
  /** On the server. */
  readonly path: string;
  /** Bytes of one reply. */
  readonly listingSize: number;
}

/** All entries with attributes and handles; what is removed while it is listed may be left out. */
export async function* direntsOf<NameType extends string | Buffer>(
  { nfs, handle, path, listingSize }: ListedDirectory,
  encoding: NameEncoding,
  operation: Operation,
): AsyncGenerator<Dirent<NameType>> {
  for await (const entry of nfs.entries(handle, listingSize, operation)) {
    const found = await completed(nfs, handle, entry, operation);
    if (found === null) continue;
    const name = encodedName(entry.nameBytes, encoding) as NameType;
    yield new Dirent(name, path, found.attributes, found.handle);
  }
}

/** An entry with its path below the directory that is listed. */
export interface ListedEntry {
  readonly dirent: Dirent<string | Buffer>;
  readonly path: string | Buffer;
}

/** All entries; if `recursive`, each directory is followed by what it holds. */
export async function listEntries(
  directory: ListedDirectory,
  encoding: NameEncoding,
  recursive: boolean,
  operation: Operation,
  prefix: readonly (string | Buffer)[] = [],
): Promise<ListedEntry[]> {
  const found: ListedEntry[] = [];
  for await (const dirent of direntsOf<string | Buffer>(directory, encoding, operation)) {
    const names = [...prefix, dirent.name];
    found.push({ dirent, path: encoding === 'buffer' ? pathBytes(names) : pathText(names) });
    if (!recursive || !dirent.isDirectory()) continue;
    const path = `${directory.path}/${dirent.name.toString()}`;
    const below = { ...directory, handle: dirent.nfsHandle, path };
    found.push(...(await listEntries(below, encoding, true, operation, names)));
  }
  return found;
}

export function encodedName(bytes: Uint8Array, encoding: NameEncoding | undefined): string | Buffer {
  const name = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length);
  return encoding === 'buffer' ? name : name.toString(encoding ?? 'utf8');
}

/** RFC 1813 §3.3.17: attributes and handles are optional in the reply. */
async function completed(nfs: Nfs3Client, dir: nfs_fh3, entry: DirectoryEntry, operation: Operation) {
  const { handle, attributes } = entry;
  if (handle !== null && attributes !== null) return { handle, attributes };
  try {
    return await nfs.lookup(dir, entry.nameBytes, operation);
  } catch (error) {
    if (hasCode(error, 'ENOENT')) return null;
    throw error;
  }
}

/**
 * A directory that is read entry by entry: fs.Dir.
 *
 * @see https://nodejs.org/docs/latest-v24.x/api/fs.html#class-fsdir
 */
export class Dir<NameType extends string | Buffer = string> implements AsyncIterable<Dirent<NameType>> {
  /** On the server. */
  readonly path: string;
  readonly #operations: Operations;
  readonly #entries: AsyncGenerator<Dirent<NameType>>;
  #closed = false;

  constructor(
    directory: ListedDirectory,
    operations: Operations,
    encoding: NameEncoding,
    options: OperationOptions,
  ) {
    this.path = directory.path;
    this.#operations = operations;
    const { signal, callTimeoutMs } = options;
    const operation = new Operation({ syscall: 'scandir', path: this.path }, { signal, callTimeoutMs });
    this.#entries = cancellable(operation, (own) => direntsOf<NameType>(directory, encoding, own));
  }

  /** The next entry; null at the end. */
  async read(): Promise<Dirent<NameType> | null> {
    const context = { syscall: 'scandir', path: this.path };
    if (this.#closed) throw new FilerPairError('EBADF', 'the directory is closed', context);
    const next = await this.#operations.run(context, undefined, () => this.#entries.next());
    return next.done === true ? null : next.value;
  }

  /** Ends at once, also while an entry is waited for. */
  async close(): Promise<void> {
    this.#closed = true;
    await this.#entries.return(undefined);
  }

  /** Leaving the loop closes the directory; so does its end. */
  [Symbol.asyncIterator](): AsyncIterator<Dirent<NameType>> {
    const end = async (): Promise<IteratorResult<Dirent<NameType>>> => {
      await this.close();
      return { done: true, value: undefined };
    };
    const next = async (): Promise<IteratorResult<Dirent<NameType>>> => {
      const entry = await this.read();
      return entry === null ? end() : { done: false, value: entry };
    };
    return { next, return: end };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }
}
