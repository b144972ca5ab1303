/** Attributes as people read them. */
import {
  type fattr3,
  NF3BLK,
  NF3CHR,
  NF3DIR,
  NF3FIFO,
  NF3LNK,
  NF3REG,
  NF3SOCK,
  type nfstime3,
} from '../../protocol/nfs3.ts';
import { oneLine } from './terminal.ts';

const TYPES = new Map<number, { letter: string; word: string }>([
  [NF3REG, { letter: '-', word: 'regular file' }],
  [NF3DIR, { letter: 'd', word: 'directory' }],
  [NF3LNK, { letter: 'l', word: 'symbolic link' }],
  [NF3BLK, { letter: 'b', word: 'block device' }],
  [NF3CHR, { letter: 'c', word: 'character device' }],
  [NF3SOCK, { letter: 's', word: 'socket' }],
  [NF3FIFO, { letter: 'p', word: 'named pipe' }],
]);

/** `-rwxr-x--t` */
export function modeText(attributes: fattr3): string {
  const { mode } = attributes;
  const letters = [...'rwxrwxrwx'].map((letter, i) => (mode & (0o400 >> i) ? letter : '-'));
  const special = (at: number, bit: number, set: string) => {
    if (mode & bit) letters[at] = letters[at] === 'x' ? set : set.toUpperCase();
  };
  special(2, 0o4000, 's');
  special(5, 0o2000, 's');
  special(8, 0o1000, 't');
  return (TYPES.get(attributes.type)?.letter ?? '?') + letters.join('');
}

export function typeWord(attributes: fattr3): string {
  return TYPES.get(attributes.type)?.word ?? `type ${attributes.type}`;
}

/** What JSON and YAML say of a file. Times with nanoseconds cut to milliseconds, sizes in bytes. */
export function attributesValue(attributes: fattr3): Readonly<Record<string, unknown>> {
  const { mode, uid, gid, nlink, size, used, fileid, mtime, ctime, atime } = attributes;
  const iso = ({ seconds, nseconds }: nfstime3) =>
    new Date(seconds * 1000 + Math.floor(nseconds / 1e6)).toISOString();
  return {
    type: typeWord(attributes),
    mode: mode.toString(8).padStart(4, '0'),
    uid,
    gid,
    links: nlink,
    size,
    used,
    fileId: String(fileid),
    modified: iso(mtime),
    changed: iso(ctime),
    read: iso(atime),
  };
}

/** `2026-11-23 04:31:07`, UTC. */
export function timeText(time: nfstime3): string {
  const date = new Date(time.seconds * 1000);
  return date.toISOString().slice(0, 19).replace('T', ' ');
}

const UNITS = ['B', 'KiB', 'MiB', 'GiB', 'TiB', 'PiB'] as const;

/** `1.5 GiB` */
export function sizeText(bytes: number): string {
  let value = bytes;
  let unit = 0;
  while (value >= 1024 && unit < UNITS.length - 1) {
    value /= 1024;
    unit += 1;
  }
  return `${unit === 0 || value >= 100 ? Math.round(value) : value.toFixed(1)} ${UNITS[unit]}`;
}

/** Columns as wide as their widest cell; `right` lists the columns that hold numbers. */
export function table(rows: readonly (readonly string[])[], right: readonly number[] = []): string {
  const widths: number[] = [];
  const cells = rows.map((row) => row.map(oneLine));
  for (const row of cells) {
    for (const [i, cell] of row.entries()) widths[i] = Math.max(widths[i] ?? 0, cell.length);
  }
  const lines = cells.map((row) =>
    row
      .map((cell, i) => (right.includes(i) ? cell.padStart(widths[i]!) : cell.padEnd(widths[i]!)))
      .join('  ')
      .trimEnd(),
  );
  return lines.map((line) => `${line}\n`).join('');
}
