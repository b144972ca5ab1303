/**
 * Registers, each with one writer and a reader: another client reads what a write was acknowledged for before the next write,
 * whatever happens to the servers in between. Beside them names that can be created once and removed once.
 */

import { setTimeout as delay } from 'node:timers/promises';
import { FILE_SYNC } from '../protocol/nfs3.ts';
import { SeededRandom } from '../testing/seeded-random.ts';
import { FilerPairClient, hasCode } from './index.ts';
import type { TestPair } from './pair.fixture.ts';
import { NfsProxy } from './proxy/proxy.ts';
import { parseNfsUrl } from './url.ts';

// A block of a register holds the number of the round that wrote it. A reader that finds another number has been told
// old data, or data of a write that was executed late: both are what must never happen.

export interface RegisterCounts {
  /** Acknowledged with FILE_SYNC. */
  writes: number;
  /** Names created and removed. */
  names: number;
  freezes: number;
  kills: number;
  givebacks: number;
  /** By the clients of the library. */
  adoptions: number;
  /** Blocks that did not hold what was acknowledged last. */
  stale: string[];
  /** Operations that were executed twice, or lost. */
  doubled: string[];
}

const BLOCK_SIZE = 128 * 1024;
const BLOCKS = 8;
/** Every second one writes through the proxy. */
const WRITERS = 6;

/** A client behind the proxy sees one server that never goes away: as the kernel's, it has no doubts. */
const WITHOUT_DOUBT = { patienceMs: 1e9, patienceMsMax: 1e9, samePortPatienceMs: 1e9 };

export class Registers {
  readonly counts: RegisterCounts = {
    writes: 0,
    names: 0,
    freezes: 0,
    kills: 0,
    givebacks: 0,
    adoptions: 0,
    stale: [],
    doubled: [],
  };
  readonly #pair: TestPair;
  readonly #seed: number;
  readonly #rounds: number[] = new Array(WRITERS).fill(0);
  #over = false;
  /** What was done to the servers last, for messages. */
  #fault = 'nothing';
  readonly #random: SeededRandom;

  constructor(pair: TestPair, seed: number) {
    this.#pair = pair;
    this.#seed = seed;
    this.#random = new SeededRandom(seed);
  }

  /** Writes and breaks servers for a time, then lets everything end. Rejects when something cannot go on. */
  async run(seconds: number): Promise<RegisterCounts> {
    const parsed = parseNfsUrl(this.#pair.url());
    if (!parsed.ok) throw new Error(parsed.reason);
    const { endpoints } = parsed.url;
    const proxy = await NfsProxy.listen({ endpoints, host: '127.0.0.1', port: 0 });
    const writers = Array.from({ length: WRITERS }, (_, n) => this.#write(n, proxy.port));
    const failed = Promise.all(writers);
    try {
      await Promise.race([failed, this.#breakServers(performance.now() + seconds * 1000)]);
    } finally {
      this.#over = true;
      await Promise.allSettled(writers);
      await proxy.close();
    }
    await failed;
    return this.counts;
  }

  async #write(n: number, proxyPort: number): Promise<void> {
    const through = n % 2 === 1;
    const url = through ? `nfs://127.0.0.1:${proxyPort}/home?alone` : this.#pair.url();
    const client = new FilerPairClient(url, through ? { attempts: WITHOUT_DOUBT } : {});
    client.on('connection', ({ kind }) => {
      if (kind === 'Adopted' && !through) this.counts.adoptions += 1;
    });
    await client.connect();
    const reader = await FilerPairClient.connect(this.#pair.url());
    const file = await client.open(`register-${this.#seed}-${n}`, 'wx');
    for (let round = 1; !this.#over; round++) {
      const mark = round & 0xff;
      const blocks = Array.from({ length: BLOCKS }, (_, block) =>
        client.nfs.write(file.nfsHandle, block * BLOCK_SIZE, Buffer.alloc(BLOCK_SIZE, mark), FILE_SYNC),
      );
      await Promise.all(blocks);
      this.counts.writes += BLOCKS;
      await this.#look(reader, file.nfsHandle, mark, `register ${n}${through ? ' (proxy)' : ''}`);
      // Something that arrives late has had time to.
      await delay(this.#random.next() * 10);
      await this.#look(reader, file.nfsHandle, mark, `register ${n}${through ? ' (proxy)' : ''}, later`);
      await this.#nameOnce(client, `name-${this.#seed}-${n}-${round}`);
      this.#rounds[n] = round;
    }
    await Promise.all([client.close(), reader.close()]);
  }

  async #look(reader: FilerPairClient, handle: Uint8Array, mark: number, register: string): Promise<void> {
    for (let block = 0; block < BLOCKS; block++) {
      const { data } = await reader.nfs.read(handle, (block + 1) * BLOCK_SIZE - 8, 8);
      if (data[0] === mark) continue;
      this.counts.stale.push(`${register}, block ${block}: ${data[0]} for ${mark} after ${this.#fault}`);
    }
  }

  async #nameOnce(client: FilerPairClient, name: string): Promise<void> {
    try {
      await client.nfs.create(client.root, name, 'Guarded', {});
      await client.nfs.remove(client.root, name);
      this.counts.names += 1;
    } catch (error) {
      if (!hasCode(error, 'EEXIST', 'ENOENT')) throw error;
      this.counts.doubled.push(`${name}: ${(error as Error).message} after ${this.#fault}`);
    }
  }

  async #breakServers(endMs: number): Promise<void> {
    // One of each, however short the run is.
    for (let number = 0; number < 2 || performance.now() < endMs; number++) {
      await delay(300 + this.#random.next() * 700);
      if (number === 0 || (number > 1 && this.#random.chance(0.75))) await this.#freeze();
      else await this.#killAndGiveBack();
      await this.#everybodyWorks();
    }
  }

  /** For less than its lease, or for longer: then its partner takes over, and it ends. */
  async #freeze(): Promise<void> {
    const ms = 300 + this.#random.next() * 1000;
    this.#fault = `a freeze of ${Math.round(ms)} ms`;
    this.counts.freezes += 1;
    this.#pair.stage.freeze('filer-a');
    await delay(ms);
    this.#pair.stage.thaw('filer-a');
    await delay(200);
    if (await this.#servesItsOwn()) return;
    await this.#comeBack();
  }

  async #killAndGiveBack(): Promise<void> {
    this.#fault = 'a kill';
    this.counts.kills += 1;
    this.#pair.stage.kill('filer-a');
    await this.#pair.serves('filer-b', 'filer-a');
    await this.#comeBack();
  }

  async #comeBack(): Promise<void> {
    const pair = this.#pair;
    await pair.stage.ended('filer-a');
    pair.stage.startServer('filer-a');
    await pair.covered();
    if (await this.#servesItsOwn()) return;
    this.#fault = 'a giveback';
    this.counts.givebacks += 1;
    await pair.stage.waitFor('filer-b gives the disks back', async () =>
      pair.stage.giveback('filer-b', 'filer-a').then(
        () => true,
        () => null,
      ),
    );
    await pair.serves('filer-a', 'filer-a');
    await pair.covered();
  }

  async #servesItsOwn(): Promise<boolean> {
    const set = (await this.#pair.stage.status('filer-a'))?.diskSets.find((each) => each.home === 'filer-a');
    return set?.owner === 'filer-a' && Boolean(set.port);
  }

  /** Every writer has done a whole round since now. */
  async #everybodyWorks(): Promise<void> {
    const before = [...this.#rounds];
    await this.#pair.stage.waitFor('every writer goes on', async () =>
      this.#over || this.#rounds.every((round, n) => round > before[n]! + 1) ? true : null,
    );
  }
}
