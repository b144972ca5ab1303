/** Files of an export, as a place to copy from and to: by file handles, so that a file costs no walk along its path. */
import { dirname, join } from 'node:path';
import {
  ACCESS3_MODIFY,
  type fattr3,
  NF3DIR,
  NF3LNK,
  NF3REG,
  NFS3ERR_ACCES,
  type nfs_fh3,
  type nfstime3,
} from '../../../protocol/nfs3.ts';
import { hasCode, NfsError } from '../../errors.ts';
import { readRange } from '../../file-reader.ts';
import type { FilerPairClient } from '../../filer-pair-client.ts';
import { ioSizes } from '../../mount.ts';
import type { Found } from '../../nfs3-client.ts';
import { Operation } from '../../operation.ts';
import type { NfsUrl } from '../../url.ts';
import { CommandError } from '../command.ts';
import { ignoreRefusal } from './local-place.ts';
import { type Export, NfsSink, operationAt, setAll, type Where, WINDOW } from './nfs-sink.ts';
import { isPartName, partName } from './part-file.ts';
import {
  type Attributes,
  type FileSink,
  LOOKED_THROUGH_MAX,
  type Name,
  type NewFile,
  nameOf,
  type Part,
  type Place,
  type PlaceInfo,
  safeStart,
  textOf,
} from './place.ts';

/** The path that the client's URL names, with symbolic links as they stand. */
export async function nfsPlace(client: FilerPairClient, url: NfsUrl): Promise<Place> {
  const sizes = await ioSizes(client.nfs, client.root, new Operation({ syscall: 'fsinfo' }));
  return placeAt({ client, url, sizes }, client.subPath);
}

function placeAt(on: Export, path: string): NfsPlace {
  const { client, url } = on;
  const label = `${url.server}:${join(client.exportPath, path)}`;
  const names = path.split('/').filter((name) => name !== '');
  const name = names.pop() ?? '';
  const directory = once(async () => (await client.lookup(names.join('/'))).handle);
  return new NfsPlace(on, {
    directory,
    parent: names.join('/'),
    name,
    label,
    path: names.concat(name).join('/'),
  });
}

function once<T>(work: () => Promise<T>): () => Promise<T> {
  let made: Promise<T> | undefined;
  return () => (made ??= work());
}

class NfsPlace implements Place {
  readonly #on: Export;
  readonly #where: Where;
  #found: Found | null;

  constructor(on: Export, where: Where, found: Found | null = null) {
    this.#on = on;
    this.#where = where;
    this.#found = found;
  }

  get label(): string {
    return this.#where.label;
  }

  get name(): Name {
    return this.#where.name;
  }

  async info(): Promise<PlaceInfo | null> {
    try {
      this.#found = await this.#look();
      return this.#infoOf(this.#found.attributes);
    } catch (error) {
      if (hasCode(error, 'ENOENT')) return null;
      throw error;
    }
  }

  async followed(): Promise<Place> {
    try {
      const real = (await this.#on.client.realpath(this.#where.path)).replace(/^\/+/, '');
      return real === this.#where.path ? this : placeAt(this.#on, real);
    } catch (error) {
      if (hasCode(error, 'ENOENT')) return this;
      throw error;
    }
  }

  child(name: Name): Place {
    return this.#childWith(name, null);
  }

  async entries(): Promise<{ place: Place; info: PlaceInfo | null }[]> {
    const { client, sizes } = this.#on;
    const handle = await this.#handle();
    const all: { place: NfsPlace; info: PlaceInfo | null }[] = [];
    for await (const entry of client.nfs.entries(handle, sizes.listingSize, this.#operation('scandir'))) {
      const { attributes, handle: its } = entry;
      const found = attributes === null || its === null ? null : { attributes, handle: its };
      const place = this.#childWith(nameOf(entry.nameBytes), found);
      all.push({ place, info: found === null ? await place.info() : this.#infoOf(found.attributes) });
    }
    return all;
  }

  async *read(start: number, size: number): AsyncGenerator<Uint8Array> {
    const { client, sizes } = this.#on;
    const { readSize } = sizes;
    // As many READs ahead as the file has pieces: those behind its end would only be asked in vain.
    const window = Math.min(WINDOW, Math.max(1, Math.ceil((size - start) / readSize)));
    yield* readRange(client.nfs, await this.#handle(), {
      readSize,
      window,
      offset: start,
      operation: this.#operation('read'),
    });
  }

  async readLink(): Promise<Name> {
    const { nfs } = this.#on.client;
    return nameOf(await nfs.readlink(await this.#handle(), this.#operation('readlink')));
  }

  async createFile({ mode, existing, key, size, part }: NewFile): Promise<FileSink> {
    const { nfs } = this.#on.client;
    const operation = this.#operation('open');
    const directory = await this.#where.directory();
    const replaced = existing?.kind === 'File' ? existing : null;
    // A file that its user may not write is not to be replaced either, though the directory would allow it.
    if (replaced !== null && (await nfs.access(await this.#handle(), ACCESS3_MODIFY, operation)) === 0)
      throw new NfsError(NFS3ERR_ACCES, 'ACCESS', operation);
    const temporary = partName(key);
    let made: Found;
    if (part === null) {
      made = await nfs.create(directory, temporary, 'Guarded', { mode: replaced?.mode ?? mode }, operation);
    } else {
      await nfs.rename(directory, part.name, directory, temporary, operation);
      made = await nfs.lookup(directory, temporary, operation);
    }
    if (replaced !== null) {
      const { uid, gid } = replaced;
      if (made.attributes.uid !== uid || made.attributes.gid !== gid)
        await nfs
          .setattr(made.handle, { uid, gid }, null, operation)
          .then(() => nfs.setattr(made.handle, { mode: replaced.mode }, null, operation), ignoreRefusal);
    }
    const start = part === null ? 0 : safeStart(part.file.size);
    return new NfsSink(this.#on, this.#where, { temporary, directory, handle: made.handle, start, size });
  }

  async makeLink(target: Name): Promise<void> {
    const { nfs } = this.#on.client;
    const directory = await this.#where.directory();
    const temporary = partName();
    const operation = this.#operation('symlink');
    await nfs.symlink(directory, temporary, target, operation);
    await nfs.rename(directory, temporary, directory, this.name, operation);
  }

  async makeDirectory(mode: number): Promise<boolean> {
    const { nfs } = this.#on.client;
    if (this.name !== '') {
      try {
        this.#found = await nfs.mkdir(
          await this.#where.directory(),
          this.name,
          { mode },
          this.#operation('mkdir'),
        );
        return true;
      } catch (error) {
        if (!hasCode(error, 'EEXIST')) throw error;
      }
    }
    if ((await this.info())?.kind !== 'Directory') throw new CommandError(`${this.label} is not a directory`);
    return false;
  }

  async setAttributes(attributes: Attributes): Promise<void> {
    await setAll(this.#on, await this.#handle(), attributes, this.#operation('utime'));
  }

  /** NFS: they are durable when a call is answered. */
  async syncNames(): Promise<void> {}

  get parent(): string {
    return `${JSON.stringify(this.#on.url.endpoints)} ${join('/', dirname(this.#where.path))}`;
  }

  async parts(): Promise<{ parts: Part[]; nowMs: number }> {
    const { nfs } = this.#on.client;
    const directory = await this.#where.directory();
    const parts: Part[] = [];
    let count = 0;
    for await (const { name, attributes } of nfs.entries(directory, this.#on.sizes.listingSize)) {
      if (++count > LOOKED_THROUGH_MAX) break;
      if (isPartName(name) && attributes !== null) parts.push({ name, file: foundFile(attributes) });
    }
    // The server's clock counts: the copy has just changed this directory.
    return { parts, nowMs: msOf((await nfs.getattr(directory)).mtime) };
  }

  async removePart({ name }: Part): Promise<void> {
    await this.#on.client.nfs.remove(await this.#where.directory(), name);
  }

  async #look(): Promise<Found> {
    const { nfs, root } = this.#on.client;
    const operation = this.#operation('lstat');
    if (this.name === '') return { handle: root, attributes: await nfs.getattr(root, operation) };
    return nfs.lookup(await this.#where.directory(), this.name, operation);
  }

  async #handle(): Promise<nfs_fh3> {
    this.#found ??= await this.#look();
    return this.#found.handle;
  }

  #childWith(name: Name, found: Found | null): NfsPlace {
    const { path, label } = this.#where;
    const text = textOf(name);
    return new NfsPlace(
      this.#on,
      {
        directory: () => this.#handle(),
        parent: path,
        name,
        path: path === '' ? text : `${path}/${text}`,
        label: `${label.replace(/\/$/, '')}/${text}`,
      },
      found,
    );
  }

  #operation(syscall: string): Operation {
    return operationAt(this.#where, this.#on, syscall);
  }

  #infoOf(attributes: fattr3): PlaceInfo {
    const { type, size, mode, uid, gid, nlink, fsid, fileid, mtime, atime } = attributes;
    const kind =
      type === NF3REG ? 'File' : type === NF3DIR ? 'Directory' : type === NF3LNK ? 'Link' : 'Other';
    const identity = `${JSON.stringify(this.#on.url.endpoints)} ${fsid} ${fileid}`;
    return {
      kind,
      size,
      mode: mode & 0o7777,
      uid,
      gid,
      nlink,
      identity,
      mtimeMs: msOf(mtime),
      atimeMs: msOf(atime),
    };
  }
}

const msOf = ({ seconds, nseconds }: nfstime3): number => seconds * 1000 + Math.floor(nseconds / 1000) / 1000;

function foundFile({ nlink, mtime, size, type }: fattr3): Part['file'] {
  return {
    nlink,
    size,
    mtimeMs: msOf(mtime),
    isFile: () => type === NF3REG,
    isSymbolicLink: () => type === NF3LNK,
  };
}
