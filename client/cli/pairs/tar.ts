/** A gzipped tar archive of small files, for a support bundle. */
import { Readable } from 'node:stream';
import { buffer } from 'node:stream/consumers';
import { createGzip } from 'node:zlib';
import { pack } from 'tar-stream';

export interface ArchivedFile {
  readonly path: string;
  readonly content: string | Uint8Array;
}

export function tarGz(files: readonly ArchivedFile[], modifiedMs: number): Promise<Buffer> {
  const archive = pack();
  // The user who unpacks it decides who else may read it.
  for (const { path, content } of files)
    archive.entry(
      { name: path, mode: 0o600, mtime: new Date(modifiedMs) },
      Buffer.from(content as Uint8Array),
    );
  archive.finalize();
  return buffer(Readable.from(archive).pipe(createGzip()));
}
