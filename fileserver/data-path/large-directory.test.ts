/**
 * A listing of many pages, of a directory that changes all the while: no entry that existed throughout is lost or doubled.
 * `make conformance` does it with a million of them.
 */
import { linkSync, mkdirSync, renameSync, unlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, inject, test } from 'vitest';
import * as nfs from '../../protocol/nfs3.ts';
import { mount, openMessage, TestDataThread } from './data-thread.fixture.ts';
import { fileSystems, type MountedFileSystem } from './file-systems.fixture.ts';
import { RpcClient } from './rpc-client.fixture.ts';

declare module 'vitest' {
  interface ProvidedContext {
    readonly directoryEntries?: number;
  }
}
const ENTRIES = Number(inject('directoryEntries') ?? 20_000);
/** Hard links are made faster than files; ext4 allows 65,000 of a file. */
const LINKS_OF_A_FILE = 50_000;
const PAGE_SIZE = 32 * 1024;

// The one that temporary files are on, and btrfs, which numbers its entries in the order of their making.
const chosen = fileSystems.filter(
  ({ name }) => /temporary|btrfs/.test(name) && (ENTRIES < 100_000 || !name.includes('btrfs')),
);

describe.each(chosen)('on $name', ({ missing, mount: mountFileSystem }) => {
  if (missing !== null) {
    test.skip(missing, () => {});
    return;
  }
  let fileSystem: MountedFileSystem;
  let thread: TestDataThread;
  let client: RpcClient;
  let path: string;
  let dir: Uint8Array;
  let made = 0;

  beforeAll(async () => {
    fileSystem = mountFileSystem();
    path = join(fileSystem.path, 'many');
    mkdirSync(path);
    let source = '';
    for (let i = 0; i < ENTRIES; i++) {
      if (i % LINKS_OF_A_FILE === 0) {
        source = join(fileSystem.path, `source-${i}`);
        writeFileSync(source, '');
      }
      linkSync(source, join(path, `kept-${i}`));
    }
    thread = new TestDataThread();
    client = await RpcClient.connect((await thread.open(openMessage(fileSystem.path))).port);
    dir = await mount(client, '/data/many');
  }, 600_000);
  afterAll(async () => {
    client?.close();
    await thread?.close('local', 'fence');
    await thread?.stop();
    fileSystem?.unmount();
  }, 600_000);

  /** Others make, rename and remove entries between two pages. */
  function change(): void {
    for (let n = 0; n < 5; n++) {
      const name = join(path, `passing-${made++}`);
      writeFileSync(name, '');
      if (n === 1) renameSync(name, `${name}-renamed`);
      if (n === 2) unlinkSync(name);
    }
  }

  test.each(['READDIR', 'READDIRPLUS'] as const)('%s', { timeout: 600_000 }, async (procedure) => {
    const seen = new Map<string, number>();
    let cookie = 0n;
    let cookieverf: Uint8Array = new Uint8Array(8);
    let pages = 0;
    for (;;) {
      const place = { dir, cookie, cookieverf };
      const page =
        procedure === 'READDIR'
          ? await client.call('READDIR', { ...place, count: PAGE_SIZE })
          : await client.call('READDIRPLUS', { ...place, dircount: PAGE_SIZE, maxcount: PAGE_SIZE });
      if (page.status !== nfs.NFS3_OK) throw new Error(nfs.nfsstat3Name(page.status));
      for (const { name } of page.entries) {
        const text = Buffer.from(name).toString();
        if (text.startsWith('kept-')) seen.set(text, (seen.get(text) ?? 0) + 1);
      }
      pages += 1;
      if (page.eof) break;
      cookie = page.entries.at(-1)!.cookie;
      cookieverf = page.cookieverf.slice();
      change();
    }
    expect(pages).toBeGreaterThan(20);
    expect(seen.size).toBe(ENTRIES);
    expect([...seen].filter(([, times]) => times !== 1)).toEqual([]);
  });
});
