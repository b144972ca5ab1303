// The disks of the test driver: image files in one directory that all nodes see, as a storage array is seen by all, and
// beside each the name of the one node that it is attached to. Attaching is taking that name with link(2): of two nodes
// exactly one wins, whoever asks.
import { existsSync, linkSync, mkdirSync, readFileSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { CsiError } from './csi-error.ts';

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

  /** What a test wants to go wrong: it puts a file of this name there, with the words of the refusal. */
  #heed(fault: string): void {
    const directory = join(this.#directory, 'faults');
    mkdirSync(directory, { recursive: true });
    const file = join(directory, fault);
    if (existsSync(file)) throw new CsiError('UNAVAILABLE', readFileSync(file, 'utf8').trim() || fault);
  }
}
