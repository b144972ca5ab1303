/**
 * Giving back the space of a removed file needs the disk: which of its blocks were the file's. On one that does not answer that
 * takes as long as it takes, and no thread that serves others may be the one that waits.
 */
import { closeSync, ftruncateSync, mkdirSync, openSync, statSync, unlinkSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { EVERYBODY } from '../../fileserver/data-path/data-thread.fixture.ts';
import { ExportSpecs } from '../../fileserver/exports/export-specs.ts';
import { Request } from '../../fileserver/nfs3/journaled-procedure.ts';
import { NfsContext } from '../../fileserver/nfs3/nfs-context.ts';
import { journaledProcedures } from '../../fileserver/nfs3/program.ts';
import type { ExportSpec } from '../../fileserver/settings/export-spec.ts';
import { DiskSet } from '../../fileserver/storage/files/disk-set.ts';
import { IDLE_TICKS } from '../../fileserver/storage/files/file-table.ts';
import type { OpenFile } from '../../fileserver/storage/files/open-file.ts';
import { FlushSet } from '../../fileserver/storage/flush/flush-set.ts';
import { KEY_SIZE } from '../../fileserver/storage/journal/journal-records.ts';
import { openVolume } from '../../fileserver/storage/volume/open-volume.ts';
import type { Volume } from '../../fileserver/storage/volume/volume.ts';
import { OPEN } from '../../fileserver/system/open-gate.fixture.ts';
import { SERVER_IDENTITY } from '../../fileserver/system/thread-identity.ts';
import { diropargs3, nfsproc3 } from '../../protocol/nfs3.ts';
import { XdrWriter } from '../../protocol/xdr.ts';
import { type LoopMount, missingForDisks, RecordingDisk } from './recording-disk.ts';

const possible = missingForDisks('ext4') === null;
const TIMEOUT_MS = 60_000;
/** Who waits for the disk goes on after so long, and has shown that it waits. */
const HANGS_S = 20;
/** More than fit into the inode and the buffers that are read with it. */
const EXTENTS = 3000;
const BLOCK_SIZE = 4096;
const exported: ExportSpec = { path: '/data', volume: 'data', ...EVERYBODY };

let disk: RecordingDisk;
let mounted: LoopMount;
let volume: Volume;
let diskSet: DiskSet;

/** A file in many pieces on a file system of which nothing is in memory. */
beforeEach(async () => {
  if (!possible) return;
  disk = await RecordingDisk.make('ext4', { record: false });
  mounted = disk.mount();
  const path = join(mounted.path, 'volume');
  mkdirSync(path);
  const fd = openSync(join(path, 'file'), 'w');
  for (let i = 0; i < EXTENTS; i++) writeSync(fd, 'x', 2 * i * BLOCK_SIZE);
  ftruncateSync(fd, 2 * EXTENTS * BLOCK_SIZE);
  closeSync(fd);
  await mounted.unmount();
  disk.forget();
  mounted = disk.mount();
  const owner = { home: 'filer-a', server: 'filer-a', incarnation: 'filer-a/here/1', epoch: 1 };
  volume = await openVolume({ name: 'data', path }, owner, OPEN, () => {});
  await volume.recorded;
  diskSet = new DiskSet([volume], ExportSpecs.of([exported]), { filesMax: 10, descriptorsMax: 10 });
}, TIMEOUT_MS);

afterEach(async () => {
  if (!possible) return;
  disk.goOn();
  await diskSet.close();
  await mounted.unmount();
  await disk.discard();
}, TIMEOUT_MS);

/** A call of a client, as the volume's thread executes it once its intent is recorded. Of names in the exported directory. */
function execute(procedure: number, ...names: readonly string[]): void {
  const root = diskSet.rootOf(diskSet.exports.all[0]!) as OpenFile;
  const w = new XdrWriter();
  for (const name of names) diropargs3.encode(w, { dir: root.handle, name: new TextEncoder().encode(name) });
  const context = new NfsContext(diskSet, { logOf: () => null, onBug: () => {}, onStep: () => {} });
  const journaled = journaledProcedures.get(procedure)!;
  const args = w.written().slice();
  const request = new Request(context, 'k'.repeat(KEY_SIZE), journaled, args, () => SERVER_IDENTITY);
  const results = request.check().plan!.apply(new FlushSet(volume, diskSet.table));
  expect(results.subarray(0, 4)).toEqual(new Uint8Array(4));
}

/** Opens it in the server; then somebody removes it behind the server, and the disk hangs. */
function removeAndHang(): void {
  const root = diskSet.rootOf(diskSet.exports.all[0]!) as OpenFile;
  const file = diskSet.lookup(root, new TextEncoder().encode('file'), SERVER_IDENTITY) as OpenFile;
  volume.identity.ofFd(diskSet.table.readFd(file));
  unlinkSync(join(mounted.path, 'volume/file'));
  disk.hang();
  disk.goOnAfter(HANGS_S);
}

test.skipIf(!possible)(
  'its blocks are given back when the disk answers, and nobody waits for that',
  async () => {
    removeAndHang();
    diskSet.forget(volume, volume.identity);
    // Its answer neither, for long.
    await new Promise<void>((resolve) => volume.whenFreed(resolve));
    expect(volume.asyncClose.isEmpty).toBe(false);
    expect(disk.hangs).toBe(true);
    disk.goOn();
    await diskSet.close();
    expect(volume.asyncClose.isEmpty).toBe(true);
  },
  TIMEOUT_MS,
);

test.skipIf(!possible)(
  'nor does anybody when the server learns of it only by closing what is idle',
  async () => {
    removeAndHang();
    for (let tick = 0; tick <= IDLE_TICKS; tick++) diskSet.table.tick();
    expect(diskSet.table.descriptorCount).toBe(0);
    expect(volume.asyncClose.isEmpty).toBe(false);
    expect(disk.hangs).toBe(true);
    disk.goOn();
    await diskSet.close();
    expect(volume.asyncClose.isEmpty).toBe(true);
  },
  TIMEOUT_MS,
);

test.skipIf(!possible).each([
  { title: 'removed', procedure: nfsproc3.REMOVE, names: ['file'], first: ['one'] },
  { title: 'replaced', procedure: nfsproc3.RENAME, names: ['other', 'file'], first: ['two', 'one'] },
])(
  'nor does anybody when it is $title and was open nowhere',
  async ({ procedure, names, first }) => {
    for (const name of ['one', 'two', 'other']) closeSync(openSync(join(mounted.path, 'volume', name), 'w'));
    // What the call itself needs of the disk is in memory afterwards.
    execute(procedure, ...first);
    await new Promise<void>((resolve) => volume.whenFreed(resolve));
    statSync(join(mounted.path, 'volume/file'));
    disk.hang();
    disk.goOnAfter(HANGS_S);
    execute(procedure, ...names);
    expect(volume.asyncClose.isEmpty).toBe(false);
    expect(disk.hangs).toBe(true);
    disk.goOn();
    await diskSet.close();
  },
  TIMEOUT_MS,
);
