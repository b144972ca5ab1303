/** Which virtual address stands for which pair: a directory on the node's disk, one file for each address. */
import { mkdirSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { isIPv6 } from 'node:net';
import { join } from 'node:path';
import { z } from 'zod';
import { canonicalAddress } from './netlink/address.ts';

// Mounts name the address, and outlive every process of ours: an address is never given to another pair while its file is there.

const virtualAddressFile = z.strictObject({
  virtual: z.string(),
  /** Number of the address, from which its mark is made. */
  index: z.int().min(0).max(16_383),
  /** nfs://SERVER...: where its pair is. */
  url: z.string(),
});
export type VirtualAddressFile = z.infer<typeof virtualAddressFile>;

/** Link-local addresses that no router forwards (RFC 3927), but none of the first and last 256, which are reserved. */
const IPV4_PREFIX = { shared: '169.254.77.', private: '169.254.76.' };
/** Unique local prefixes (RFC 4193) of our own. */
const IPV6_PREFIX = { shared: 'fd46:5046:5046:77::', private: 'fd46:5046:5046:76::' };
const ADDRESSES_MAX = 254;

const STATE_DIRECTORY = { shared: '/var/lib/filerpair/node', private: '/var/lib/filerpair/private' };

export class NodeState {
  readonly directory: string;
  readonly isPrivate: boolean;

  /** `isPrivate`: of the addresses in the private network namespace, which are others, so that a mount shows where it is. */
  constructor(directory: string | undefined, isPrivate = false) {
    this.isPrivate = isPrivate;
    this.directory = directory ?? STATE_DIRECTORY[isPrivate ? 'private' : 'shared'];
  }

  /** All addresses. A file that cannot be read is an error of its own, so that one does not stop the others. */
  read(): { readonly addresses: VirtualAddressFile[]; readonly errors: Error[] } {
    const addresses: VirtualAddressFile[] = [];
    const errors: Error[] = [];
    for (const name of this.#files()) {
      const path = join(this.directory, name);
      try {
        addresses.push(virtualAddressFile.parse(JSON.parse(readFileSync(path, 'utf8'))));
      } catch (error) {
        errors.push(new Error(`${path}: ${(error as Error).message}`));
      }
    }
    return { addresses, errors };
  }

  /** The address of the URL's pair, the one that it has or a free one. Throws if there is none. */
  allocate(url: string, isV6: boolean): VirtualAddressFile {
    const { addresses } = this.read();
    const pair = pairOf(url);
    const found = addresses.find((each) => pairOf(each.url) === pair && isIPv6(each.virtual) === isV6);
    if (found) return found;
    const taken = new Set(addresses.map(({ virtual }) => canonicalAddress(virtual)));
    const indexes = new Set(addresses.map(({ index }) => index));
    for (let number = 1; number <= ADDRESSES_MAX; number++) {
      const where = this.isPrivate ? 'private' : 'shared';
      const virtual = isV6 ? `${IPV6_PREFIX[where]}${number.toString(16)}` : `${IPV4_PREFIX[where]}${number}`;
      if (taken.has(canonicalAddress(virtual))) continue;
      let index = 0;
      while (indexes.has(index)) index += 1;
      const file = { virtual, index, url };
      this.#write(file);
      return file;
    }
    throw new Error(`all ${ADDRESSES_MAX} virtual addresses are in use: ${this.directory}`);
  }

  /** The address is in use: it is there again if it was taken out meanwhile. */
  keep(file: VirtualAddressFile): void {
    if (!this.read().addresses.some(({ virtual }) => virtual === file.virtual)) this.#write(file);
  }

  /** Only when nothing is mounted from it. */
  remove(virtual: string): void {
    rmSync(join(this.directory, fileName(virtual)), { force: true });
  }

  #write(file: VirtualAddressFile): void {
    mkdirSync(this.directory, { recursive: true, mode: 0o755 });
    const path = join(this.directory, fileName(file.virtual));
    writeFileSync(`${path}.new`, `${JSON.stringify(file)}\n`, { flush: true });
    renameSync(`${path}.new`, path);
  }

  #files(): string[] {
    try {
      return readdirSync(this.directory).filter((name) => name.endsWith('.json'));
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === 'ENOENT') return [];
      throw error;
    }
  }
}

/** The part of a URL about the servers: one address is enough for all exports of a pair. */
export const pairOf = (url: string): string => url.replace(/^(nfs:\/\/[^/?]*)(\/[^?]*)?/i, '$1');

const fileName = (virtual: string): string => `${virtual.replaceAll(':', '-')}.json`;
