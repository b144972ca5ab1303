/**
 * The disks of the test driver: image files in one directory that all nodes see, as all see a storage array. Beside each is the
 * name of the one node that it is attached to. Attaching is taking that name with link(2): of two nodes exactly one wins.
 */
import {
  closeSync,
  constants,
  copyFileSync,
  existsSync,
  fstatSync,
  fsyncSync,
  ftruncateSync,
  linkSync,
  mkdirSync,
  openSync,
  readFileSync,
  readSync,
  renameSync,
  rmSync,
  statSync,
  truncateSync,
  writeFileSync,
  writeSync,
} from 'node:fs';
import { join } from 'node:path';
import { CsiError } from './csi-error.ts';

/**
 * Shared blocks where the file system can, else a copy without the holes. Whole or not at all. busybox has no cp that can: a
 * block of zeros becomes a hole.
 */
function copySparse(from: string, to: string): void {
  const unfinished = `${to}.unfinished`;
  rmSync(unfinished, { force: true });
  try {
    copyFileSync(from, unfinished, constants.COPYFILE_FICLONE_FORCE);
  } catch {
    copyBlocks(from, unfinished);
  }
  renameSync(unfinished, to);
}

const BLOCK_SIZE = 1024 * 1024;

function copyBlocks(from: string, to: string): void {
  const source = openSync(from, 'r');
  const target = openSync(to, 'w');
  try {
    const { size } = fstatSync(source);
    const block = Buffer.alloc(BLOCK_SIZE);
    const zeros = Buffer.alloc(BLOCK_SIZE);
    ftruncateSync(target, size);
    for (let at = 0; at < size; ) {
      const count = readSync(source, block, 0, BLOCK_SIZE, at);
      if (count === 0) break;
      if (block.compare(zeros, 0, count, 0, count) !== 0) writeSync(target, block, 0, count, at);
      at += count;
    }
    fsyncSync(target);
  } finally {
    closeSync(source);
    closeSync(target);
  }
}

export class Disks {
  readonly #directory: string;

  constructor(directory: string) {
    this.#directory = directory;
  }

  imageOf(disk: string): string {
    if (!/^[a-z0-9][-a-z0-9]{0,127}$/.test(disk))
      throw new CsiError('INVALID_ARGUMENT', `no disk is called ${disk}`);
    return join(this.#directory, `${disk}.img`);
  }

  exists(disk: string): boolean {
    return existsSync(this.imageOf(disk));
  }

  /** Sparse: it takes what is written to it. */
  create(disk: string, size: number): void {
    const image = this.imageOf(disk);
    if (existsSync(image)) return;
    writeFileSync(image, '');
    truncateSync(image, size);
  }

  /** Never smaller. Returns its size. */
  grow(disk: string, size: number): number {
    if (!this.exists(disk)) throw new CsiError('NOT_FOUND', `there is no disk ${disk}`);
    const now = statSync(this.imageOf(disk)).size;
    if (size > now) truncateSync(this.imageOf(disk), size);
    return Math.max(size, now);
  }

  snapshotOf(snapshot: string): string {
    return this.imageOf(snapshot).replace(/\.img$/, '.snapshot');
  }

  /** A second one of the same name is the first one. `at`: when it was begun, ms since the epoch. */
  snapshot(snapshot: string, disk: string): { readonly size: number; readonly at: number } {
    if (!this.exists(disk)) throw new CsiError('NOT_FOUND', `there is no disk ${disk}`);
    const copy = this.snapshotOf(snapshot);
    if (!existsSync(copy)) copySparse(this.imageOf(disk), copy);
    const { size, mtimeMs } = statSync(copy);
    return { size, at: Math.floor(mtimeMs) };
  }

  removeSnapshot(snapshot: string): void {
    rmSync(this.snapshotOf(snapshot), { force: true });
  }

  restore(disk: string, snapshot: string, size: number): void {
    const copy = this.snapshotOf(snapshot);
    if (!existsSync(copy)) throw new CsiError('NOT_FOUND', `there is no snapshot ${snapshot}`);
    if (!existsSync(this.imageOf(disk))) copySparse(copy, this.imageOf(disk));
    this.grow(disk, size);
  }

  remove(disk: string): void {
    const node = this.attachedTo(disk);
    if (node !== null) throw new CsiError('FAILED_PRECONDITION', `${disk} is attached to ${node}`);
    rmSync(this.imageOf(disk), { force: true });
  }

  attachedTo(disk: string): string | null {
    try {
      return readFileSync(this.#holder(disk), 'utf8');
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === 'ENOENT') return null;
      throw error;
    }
  }

  /** Refused while another node has it: that is the fence. */
  attach(disk: string, node: string): void {
    this.#heed(`refuse-attach-${node}`);
    if (!this.exists(disk)) throw new CsiError('NOT_FOUND', `there is no disk ${disk}`);
    const own = `${this.#holder(disk)}-of-${node}`;
    writeFileSync(own, node);
    try {
      linkSync(own, this.#holder(disk));
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
      const other = this.attachedTo(disk);
      if (other !== node)
        throw new CsiError('FAILED_PRECONDITION', `${disk} is attached to ${other ?? 'another node'}`);
    } finally {
      rmSync(own, { force: true });
    }
  }

  detach(disk: string, node: string): void {
    this.#heed(`refuse-detach-${node}`);
    if (this.attachedTo(disk) === node) rmSync(this.#holder(disk), { force: true });
  }

  #holder(disk: string): string {
    return this.imageOf(disk).replace(/\.img$/, '.node');
  }

  /** How many disks a node can have, where a test wants it to be told; 0: that is not said. */
  limitOf(node: string): number {
    const file = join(this.#directory, 'faults', `volume-limit-${node}`);
    return existsSync(file) ? Number(readFileSync(file, 'utf8')) : 0;
  }

  /** What a test wants to go wrong: it puts a file of this name there, with the words of the refusal. */
  #heed(fault: string): void {
    const directory = join(this.#directory, 'faults');
    mkdirSync(directory, { recursive: true });
    const file = join(directory, fault);
    if (existsSync(file)) throw new CsiError('UNAVAILABLE', readFileSync(file, 'utf8').trim() || fault);
  }
}
