/**
 * Exports as an operation of the load: they change at random under calls of several clients, during openings, holds, drains and
 * takeovers.
 */

import { existsSync, mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import type { DiskSetSide } from '../../pair/types.ts';
import * as nfs from '../../protocol/nfs3.ts';
import { pause } from '../../testing/pause.ts';
import { SeededRandom } from '../../testing/seeded-random.ts';
import type { ExportSpec } from '../settings/export-spec.ts';
import { EVERYBODY, mount, openMessage, TestDataThread, temporaryDirectory } from './data-thread.fixture.ts';
import { RpcClient } from './rpc-client.fixture.ts';

//   a call that is sent after a change was confirmed, and answered before the next one, is answered by the confirmed terms
//   what was executed is answered so when it is sent again, whatever has become of the export, by the next owner too
//   a call by another export never fails for it

const SEED = 1;
const LIVES = 4;
const CHANGES = 6;
const CLIENTS = 6;
/** Calls that are answered between two changes, at least. */
const ANSWERED_MIN = 40;

const bytes = (text: string): Uint8Array => new TextEncoder().encode(text);
const how: nfs.createhow3 = { mode: nfs.GUARDED, obj_attributes: { ...nfs.SATTR3_NOTHING, mode: 0o644 } };
const DATA: ExportSpec = { path: '/data', volume: 'data', ...EVERYBODY };
const FIXED: ExportSpec = { ...DATA, path: '/fixed' };

/** What an export allows, and so how calls by its root's handle, and by handles of files in it, are answered. */
interface Terms {
  readonly exports: readonly ExportSpec[];
  readonly changing: number;
  readonly writing: number | null;
  readonly reading: number;
}
const one = (spec: Partial<ExportSpec>): readonly ExportSpec[] => [FIXED, { ...DATA, ...spec }];
const { NFS3_OK: OK, NFS3ERR_ACCES: ACCES, NFS3ERR_STALE: STALE, NFS3ERR_ROFS: ROFS } = nfs;
const OPEN: Terms = { exports: one({}), changing: OK, writing: OK, reading: OK };
const TERMS: readonly Terms[] = [
  OPEN,
  { exports: one({ access: 'ReadOnly' }), changing: ROFS, writing: ROFS, reading: OK },
  { exports: one({ clients: ['10.9.9.9'] }), changing: ACCES, writing: ACCES, reading: ACCES },
  { exports: [FIXED], changing: STALE, writing: STALE, reading: STALE },
  { exports: one({ directory: 'missing' }), changing: STALE, writing: STALE, reading: STALE },
  // A file's handle says nothing of where the file lies.
  { exports: one({ directory: 'elsewhere' }), changing: STALE, writing: null, reading: STALE },
];

type Call = (client: RpcClient) => Promise<{ readonly status: number }>;

class Load {
  readonly #random: SeededRandom;
  readonly #thread = new TestDataThread();
  readonly #path: string;
  /** null: a change is on its way. */
  #terms: Terms | null = null;
  /** Changes and ends of lives until now. */
  #moves = 0;
  #deck: Terms[] = [];
  #serving: Promise<RpcClient[]> = new Promise(() => {});
  #over = false;
  #xid = 1;
  #root: Uint8Array = new Uint8Array(0);
  #fixed: Uint8Array = new Uint8Array(0);
  readonly #files: Uint8Array[] = [];
  readonly #executed: Call[] = [];
  readonly faults: string[] = [];
  answered = 0;
  resent = 0;
  /** Answers that were compared with confirmed terms, by status. */
  readonly compared = new Map<number, number>();

  constructor(path: string, seed: number) {
    this.#path = path;
    this.#random = new SeededRandom(seed);
  }

  async run(): Promise<void> {
    const clients: Promise<void>[] = [];
    for (let life = 0; life < LIVES; life++) {
      const diskSet: DiskSetSide = life % 2 === 0 ? 'local' : 'partner';
      await this.#begin(diskSet, life);
      if (life === 0) for (let i = 0; i < CLIENTS; i++) clients.push(this.#client(i));
      for (let i = 0; i < CHANGES; i++) await this.#change(diskSet, i === 4);
      await this.#end(diskSet, life % 3 === 1 ? 'fence' : 'quiesce');
    }
    this.#over = true;
    this.#serving = Promise.resolve([]);
    await Promise.all(clients);
    await this.#thread.stop();
  }

  #pick<T>(of: readonly T[]): T {
    return of[this.#random.below(of.length)]!;
  }

  /** All of them, in an order by chance, before one comes again. */
  #nextTerms(): Terms {
    if (this.#deck.length === 0) this.#deck = [...TERMS];
    return this.#deck.splice(this.#random.below(this.#deck.length), 1)[0]!;
  }

  async #begin(diskSet: DiskSetSide, life: number): Promise<void> {
    const server = diskSet === 'local' ? 'filer-a' : 'filer-b';
    const opened = this.#thread.open(
      openMessage(this.#path, { diskSet, server, epoch: life + 1, exports: OPEN.exports }),
    );
    const terms = life === 0 ? OPEN : this.#nextTerms();
    const changed = this.#give(diskSet, terms);
    const { port } = await opened;
    const clients = await Promise.all(Array.from({ length: CLIENTS }, () => RpcClient.connect(port)));
    if (life === 0) {
      this.#root = await mount(clients[0]!, '/data');
      this.#fixed = await mount(clients[0]!, '/fixed');
    }
    await changed;
    this.#serving = Promise.resolve(clients);
  }

  /** Ends when it is confirmed. */
  async #give(diskSet: DiskSetSide, terms: Terms): Promise<void> {
    this.#terms = null;
    this.#moves += 1;
    const answer = this.#thread.of('exportsReplaced');
    this.#thread.post({ kind: 'exports', diskSet, exports: terms.exports });
    expect((await answer).exports).toEqual(terms.exports);
    this.#terms = terms;
  }

  async #change(diskSet: DiskSetSide, duringHold: boolean): Promise<void> {
    const enough = this.answered + ANSWERED_MIN;
    await expect
      .poll(() => this.answered >= enough || this.faults.length > 0, { timeout: 60_000 })
      .toBe(true);
    if (!duringHold) return this.#give(diskSet, this.#nextTerms());
    const held = this.#thread.of('held');
    const id = `hold ${this.#moves}`;
    this.#thread.post({ kind: 'hold', diskSet, id, msMax: 60_000 });
    await held;
    await this.#give(diskSet, this.#nextTerms());
    this.#thread.post({ kind: 'resume', diskSet, id });
  }

  async #end(diskSet: DiskSetSide, mode: 'quiesce' | 'fence'): Promise<void> {
    const clients = await this.#serving;
    this.#serving = new Promise(() => {});
    const closed = this.#thread.close(diskSet, mode);
    const changed = this.#give(diskSet, this.#nextTerms());
    await Promise.all([closed, changed]);
    for (const client of clients) client.close();
    this.#terms = null;
    this.#moves += 1;
  }

  async #client(number: number): Promise<void> {
    while (!this.#over) {
      const clients = await this.#present();
      if (clients === null) continue;
      const client = clients[number]!;
      try {
        await this.#pick([
          () => this.#create(client),
          () => this.#create(client),
          () => this.#write(client),
          () => this.#compare('GETATTR', () => client.call('GETATTR', { object: this.#root }), 'reading'),
          () => this.#again(client),
          () => this.#createByFixed(client),
        ])();
        this.answered += 1;
      } catch (error) {
        if ((error as Error).message !== 'connection closed') throw error;
        await pause(5, 'a client waits a moment before it tries again');
      }
    }
  }

  /** Those of the owner that serves now; null: look again. */
  async #present(): Promise<RpcClient[] | null> {
    const serving = this.#serving;
    const soon = pause(20, 'by then another server may serve').then(() => null);
    const clients = await Promise.race([serving, soon]);
    return clients !== null && clients.length > 0 ? clients : null;
  }

  async #compare(
    what: string,
    call: () => Promise<{ readonly status: number }>,
    kind: 'changing' | 'writing' | 'reading',
  ): Promise<number> {
    const terms = this.#terms;
    const moves = this.#moves;
    const { status } = await call();
    const wanted = terms === null || moves !== this.#moves ? null : terms[kind];
    if (wanted === null) return status;
    this.compared.set(wanted, (this.compared.get(wanted) ?? 0) + 1);
    if (status !== wanted)
      this.faults.push(`${what}: ${nfs.nfsstat3Name(status)}, not ${nfs.nfsstat3Name(wanted)}`);
    return status;
  }

  async #create(client: RpcClient): Promise<void> {
    const xid = this.#xid++;
    const where = { dir: this.#root, name: bytes(`file-${xid}`) };
    const call: Call = (by) => by.call('CREATE', { where, how }, { xid });
    let made: Uint8Array | null = null;
    const status = await this.#compare(
      'CREATE',
      async () => {
        const result = await client.call('CREATE', { where, how }, { xid });
        if (result.status === OK) made = result.obj;
        return result;
      },
      'changing',
    );
    if (status !== OK) return;
    this.#files.push(made!);
    if (this.#files.length > 50) this.#files.shift();
    this.#executed.push(call);
    if (this.#executed.length > 2000) this.#executed.shift();
  }

  async #write(client: RpcClient): Promise<void> {
    if (this.#files.length === 0) return;
    const file = this.#pick(this.#files);
    const data = new Uint8Array(20_000);
    const args = { file, offset: 0, count: data.length, stable: nfs.UNSTABLE, data } as const;
    await this.#compare('WRITE', () => client.call('WRITE', args), 'writing');
    await client.call('COMMIT', { file, offset: 0, count: 0 });
  }

  async #again(client: RpcClient): Promise<void> {
    if (this.#executed.length === 0) return;
    const { status } = await this.#pick(this.#executed)(client);
    this.resent += 1;
    if (status !== OK) this.faults.push(`sent again: ${nfs.nfsstat3Name(status)}`);
  }

  async #createByFixed(client: RpcClient): Promise<void> {
    const xid = this.#xid++;
    const where = { dir: this.#fixed, name: bytes(`fixed-${xid}`) };
    const { status } = await client.call('CREATE', { where, how }, { xid });
    if (status !== OK) this.faults.push(`by another export: ${nfs.nfsstat3Name(status)}`);
  }
}

test('rights are those that were confirmed last, at every moment', async () => {
  const directory = temporaryDirectory(existsSync('/dev/shm') ? '/dev/shm' : undefined);
  mkdirSync(join(directory.path, 'elsewhere'));
  const load = new Load(directory.path, SEED);
  await load.run();
  directory.remove();
  expect(load.faults).toEqual([]);
  expect(load.resent).toBeGreaterThan(50);
  for (const status of [OK, ROFS, ACCES, STALE]) expect(load.compared.get(status) ?? 0).toBeGreaterThan(20);
}, 120_000);
