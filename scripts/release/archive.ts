/** Archives that are the same, byte for byte, whenever and by whomever they are made: sorted, owned by root, of one time. */
import { createHash } from 'node:crypto';
import { readdirSync, readFileSync, readlinkSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { buffer } from 'node:stream/consumers';
import { gzipSync } from 'node:zlib';
import { pack } from 'tar-stream';

export interface Entry {
  /** Without a slash in front or behind. */
  readonly path: string;
  readonly content: Buffer | { readonly linkTo: string } | 'directory';
  readonly executable?: boolean;
}

/**
 * @param time of all entries, seconds since 1970
 * @returns a POSIX tar, with each directory in front of what is in it
 */
export async function tar(entries: readonly Entry[], time: number): Promise<Buffer> {
  const all = new Map<string, Entry>();
  for (const entry of entries) {
    for (const path of parents(entry.path)) if (!all.has(path)) all.set(path, { path, content: 'directory' });
    all.set(entry.path, entry);
  }
  const archive = pack();
  const whole = buffer(archive);
  for (const { path, content, executable } of [...all.values()].sort((a, b) => (a.path < b.path ? -1 : 1))) {
    const common = { uid: 0, gid: 0, uname: 'root', gname: 'root', mtime: new Date(time * 1000) };
    if (content === 'directory') archive.entry({ ...common, name: path, type: 'directory', mode: 0o755 });
    else if (Buffer.isBuffer(content))
      archive.entry({ ...common, name: path, mode: executable === true ? 0o755 : 0o644 }, content);
    else archive.entry({ ...common, name: path, type: 'symlink', linkname: content.linkTo, mode: 0o777 });
  }
  archive.finalize();
  return whole;
}

function parents(path: string): string[] {
  const parts = path.split('/').slice(0, -1);
  return parts.map((_, index) => parts.slice(0, index + 1).join('/'));
}

/** zlib's header has no name and no time. */
export const gzip = (content: Buffer): Buffer => gzipSync(content, { level: 6 });

/** Everything below a directory, under `prefix`. */
export function entriesOf(directory: string, prefix: string): Entry[] {
  return readdirSync(directory, { recursive: true, withFileTypes: true }).flatMap((one): Entry[] => {
    const file = join(one.parentPath, one.name);
    const path = join(prefix, file.slice(directory.length + 1));
    if (one.isSymbolicLink()) return [{ path, content: { linkTo: readlinkSync(file) } }];
    if (!one.isFile()) return [];
    return [{ path, content: readFileSync(file), executable: (statSync(file).mode & 0o100) !== 0 }];
  });
}

/** SHA-256, hexadecimal. */
export const sha256 = (content: Buffer | string): string =>
  createHash('sha256').update(content).digest('hex');
