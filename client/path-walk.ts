/**
 * From paths to file handles: the export's root and one LOOKUP for each name. Symbolic links are the client's business in NFS
 * (RFC 1813 §3.3.5): they are followed inside the export.
 */
import { NF3LNK, type nfs_fh3 } from '../protocol/nfs3.ts';
import { FilerPairError, reasonOf } from './errors.ts';
import type { Found, Name, Nfs3Client } from './nfs3-client.ts';
import type { Operation } from './operation.ts';
import { isAbsolute, isParent, namesBelow, namesIn, type PathLike, pathText } from './path.ts';

/** Linux follows as many. */
const SYMLINKS_MAX = 40;

export interface Resolved extends Found {
  /** From the export's root, without symbolic links and `..`. */
  readonly names: readonly Name[];
}

/** The directory that holds a path's last name, which need not be there. */
export interface Located {
  readonly dir: nfs_fh3;
  readonly name: Name;
}

interface Step {
  readonly handle: nfs_fh3;
  readonly names: readonly Name[];
}

export class PathWalk {
  readonly #nfs: Nfs3Client;
  readonly #root: nfs_fh3;
  readonly #exportNames: readonly Name[];

  constructor(nfs: Nfs3Client, root: nfs_fh3, exportPath: string) {
    this.#nfs = nfs;
    this.#root = root;
    this.#exportNames = namesIn(exportPath);
  }

  /** A path as it is on the server, for messages. */
  label(path: PathLike): string {
    return `/${pathText([...this.#exportNames, ...namesIn(path)])}`;
  }

  /** `followLast`: of a symbolic link at the end, what it points to. */
  resolve(path: PathLike, followLast: boolean, operation: Operation): Promise<Resolved> {
    return this.#walk([this.#start], namesIn(path), followLast, operation, 0);
  }

  /** `atRoot`: the code of the error if the path names the export itself. */
  async locate(path: PathLike, atRoot: string, operation: Operation): Promise<Located> {
    const names = namesIn(path);
    const name = names.pop();
    if (name === undefined) throw new FilerPairError(atRoot, 'this is the export itself', operation);
    const { handle } = await this.#walk([this.#start], names, true, operation, 0);
    return { dir: handle, name };
  }

  /** Where a file has to be made so that a path leads to it, if there is a symbolic link to nothing. */
  async behindLink(path: PathLike, operation: Operation): Promise<Located> {
    let names = namesIn(path);
    for (let links = 0; links <= SYMLINKS_MAX; links++) {
      const parent = await this.#walk([this.#start], names.slice(0, -1), true, operation, 0);
      const name = names[names.length - 1]!;
      const found = await this.#nfs.lookup(parent.handle, name, operation).catch((error) => {
        if ((error as FilerPairError).code !== 'ENOENT') throw error;
        return null;
      });
      if (found?.attributes.type !== NF3LNK) return { dir: parent.handle, name };
      const target = await this.#nfs.readlink(found.handle, operation);
      names = isAbsolute(target) ? this.#inside(target, operation) : [...parent.names, ...namesIn(target)];
      if (names.length === 0) throw new FilerPairError('EISDIR', reasonOf('EISDIR'), operation);
    }
    throw tooManyLinks(operation);
  }

  get #start(): Step {
    return { handle: this.#root, names: [] };
  }

  /** `above`: the directories from the export's root down to where the walk starts, so that `..` leads back. */
  async #walk(
    above: readonly Step[],
    names: readonly Name[],
    followLast: boolean,
    operation: Operation,
    links: number,
  ): Promise<Resolved> {
    const trail = [...above];
    let found: Found | null = null;
    for (const [i, name] of names.entries()) {
      const dir = trail[trail.length - 1]!;
      if (isParent(name)) {
        if (trail.length > 1) trail.pop();
        found = null;
        continue;
      }
      found = await this.#nfs.lookup(dir.handle, name, operation);
      const last = i === names.length - 1;
      if (found.attributes.type === NF3LNK && (!last || followLast)) {
        return this.#follow(trail, found.handle, names.slice(i + 1), followLast, operation, links);
      }
      trail.push({ handle: found.handle, names: [...dir.names, name] });
    }
    const end = trail[trail.length - 1]!;
    const attributes = found?.attributes ?? (await this.#nfs.getattr(end.handle, operation));
    return { handle: end.handle, names: end.names, attributes };
  }

  async #follow(
    trail: readonly Step[],
    link: nfs_fh3,
    rest: readonly Name[],
    followLast: boolean,
    operation: Operation,
    links: number,
  ): Promise<Resolved> {
    if (links >= SYMLINKS_MAX) throw tooManyLinks(operation);
    const target = await this.#nfs.readlink(link, operation);
    const from = isAbsolute(target) ? [this.#start] : trail;
    const names = isAbsolute(target) ? this.#inside(target, operation) : namesIn(target);
    return this.#walk(from, [...names, ...rest], followLast, operation, links + 1);
  }

  /** An absolute link means a path on the server; only what lies in this export can be reached through it. */
  #inside(target: Uint8Array, operation: Operation): Name[] {
    const inside = namesBelow(this.#exportNames, namesIn(target));
    if (inside !== null) return inside;
    const link = Buffer.from(target).toString('utf8');
    const reason = `a symbolic link to ${link} leaves /${pathText(this.#exportNames)}`;
    throw new FilerPairError('EXDEV', reason, operation);
  }
}

function tooManyLinks(operation: Operation): FilerPairError {
  return new FilerPairError('ELOOP', `more than ${SYMLINKS_MAX} symbolic links in a row`, operation);
}
