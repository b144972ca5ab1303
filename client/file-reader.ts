/** Reading a file fast: several READs in flight, data handed out in order. */
import type { nfs_fh3 } from '../protocol/nfs3.ts';
import { RpcError } from './errors.ts';
import type { Nfs3Client, ReadResult } from './nfs3-client.ts';
import type { Operation } from './operation.ts';

export interface FileReaderOptions {
  /** Bytes of one READ: the server's rtpref. */
  readonly readSize: number;
  /** READs in flight. */
  readonly window?: number;
  readonly offset?: number;
  /** Stop after this many bytes; default: to the end of the file. */
  readonly length?: number;
  readonly operation?: Operation | undefined;
}

const WINDOW = 8;

/** The file's data from `offset` on, in pieces of any size, until its end at the time when that is reached. */
export async function* readRange(
  client: Nfs3Client,
  handle: nfs_fh3,
  options: FileReaderOptions,
): AsyncGenerator<Uint8Array> {
  const { readSize, operation } = options;
  const end = (options.offset ?? 0) + (options.length ?? Number.POSITIVE_INFINITY);
  let nextOffset = options.offset ?? 0;
  // Each element reads its whole piece, so that the pieces follow each other without a hole.
  const ahead: Promise<ReadResult>[] = [];
  const fill = () => {
    while (ahead.length < (options.window ?? WINDOW) && nextOffset < end) {
      const piece = readPiece(client, handle, nextOffset, Math.min(readSize, end - nextOffset), operation);
      // A piece that is never awaited (the caller stops early) must not become an unhandled rejection.
      piece.catch(() => {});
      ahead.push(piece);
      nextOffset += readSize;
    }
  };
  fill();
  while (ahead.length > 0) {
    const { data, eof } = await ahead.shift()!;
    operation?.throwIfOver();
    if (data.length > 0) yield data;
    if (eof) return;
    fill();
  }
}

/** RFC 1813 §3.3.6: a server may return less than it was asked for without being at the end. */
export async function readPiece(
  client: Nfs3Client,
  handle: nfs_fh3,
  offset: number,
  count: number,
  operation: Operation | undefined,
): Promise<ReadResult> {
  const first = await client.read(handle, offset, count, operation);
  if (first.eof || first.data.length === count) return first;
  const parts = [first.data];
  let size = first.data.length;
  let eof = false;
  while (!eof && size < count) {
    const next = await client.read(handle, offset + size, count - size, operation);
    if (next.data.length === 0 && !next.eof)
      throw new RpcError('EPROTO', 'READ: the server returned no data', operation);
    parts.push(next.data);
    size += next.data.length;
    eof = next.eof;
  }
  return { data: Buffer.concat(parts), eof };
}
