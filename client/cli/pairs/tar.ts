// A tar archive (POSIX.1-1988 ustar) of small files, gzipped: enough for a support bundle, and every tar reads it.
import { gzipSync } from 'node:zlib';

export interface ArchivedFile {
  /** Relative, at most 99 bytes. */
  readonly path: string;
  readonly content: string | Uint8Array;
}

const BLOCK = 512;

export function tarGz(files: readonly ArchivedFile[], modifiedMs: number): Buffer {
  const blocks = files.flatMap(({ path, content }) => {
    const bytes = Buffer.from(content as Uint8Array);
    const padding = Buffer.alloc((BLOCK - (bytes.length % BLOCK)) % BLOCK);
    return [header(path, bytes.length, modifiedMs), bytes, padding];
  });
  // Two blocks of zeros end an archive.
  return gzipSync(Buffer.concat([...blocks, Buffer.alloc(2 * BLOCK)]));
}

function header(path: string, size: number, modifiedMs: number): Buffer {
  const block = Buffer.alloc(BLOCK);
  if (Buffer.byteLength(path) > 99) throw new Error(`${path}: too long for a tar header`);
  const octal = (value: number, at: number, length: number) =>
    block.write(`${value.toString(8).padStart(length - 1, '0')}\0`, at, 'latin1');
  block.write(path, 0, 'utf8');
  // Who unpacks it decides who else may read it.
  octal(0o600, 100, 8);
  octal(0, 108, 8);
  octal(0, 116, 8);
  octal(size, 124, 12);
  octal(Math.floor(modifiedMs / 1000), 136, 12);
  block.write('0', 156, 'latin1');
  block.write('ustar\x0000', 257, 'latin1');
  // The checksum counts its own field as spaces.
  block.fill(' ', 148, 156);
  const sum = block.reduce((total, byte) => total + byte, 0);
  block.write(`${sum.toString(8).padStart(6, '0')}\0 `, 148, 'latin1');
  return block;
}
