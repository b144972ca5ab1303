/** Calls that wait for others before they are executed: their rights are looked up when they are. */
import { mkdtempSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import * as nfs from '../../protocol/nfs3.ts';
import { CallHeader } from '../../protocol/rpc.ts';
import { XdrReader, XdrWriter } from '../../protocol/xdr.ts';
import { ExportSpecs } from '../exports/export-specs.ts';
import { create } from '../nfs3/create.ts';
import { Request } from '../nfs3/journaled-procedure.ts';
import { NfsContext } from '../nfs3/nfs-context.ts';
import { write } from '../nfs3/write.ts';
import { ConnectionCaller } from '../rpc/caller.ts';
import { LATER, type RpcCall } from '../rpc/rpc-program.ts';
import type { ExportSpec } from '../settings/export-spec.ts';
import { DiskSet } from '../storage/files/disk-set.ts';
import type { OpenFile } from '../storage/files/open-file.ts';
import { openVolume } from '../storage/volume/open-volume.ts';
import type { Volume } from '../storage/volume/volume.ts';
import { OPEN } from '../system/open-gate.fixture.ts';
import { become, SERVER_IDENTITY } from '../system/thread-identity.ts';
import { EVERYBODY } from './data-thread.fixture.ts';
import { ROOT } from './rpc-client.fixture.ts';

const bytes = (text: string): Uint8Array => new TextEncoder().encode(text);
const DATA: ExportSpec = { path: '/data', volume: 'data', ...EVERYBODY };
const all: readonly (readonly [string, readonly ExportSpec[], number])[] = [
  ['ReadOnly', [{ ...DATA, access: 'ReadOnly' }], nfs.NFS3ERR_ROFS],
  ['for others', [{ ...DATA, clients: ['10.9.9.9'] }], nfs.NFS3ERR_ACCES],
  ['gone', [], nfs.NFS3ERR_STALE],
  ['another one of the same name', [{ ...DATA, squash: 'All' }], nfs.NFS3_OK],
];
/** Without root every user is the server's. */
const changes = all.filter(([, , status]) => status !== nfs.NFS3_OK || process.geteuid!() === 0);

let path: string;
let volume: Volume;
let diskSet: DiskSet;
let context: NfsContext;
/** What waits for the object that is being changed. */
let ready: () => void;

beforeEach(async () => {
  path = mkdtempSync(join(tmpdir(), 'filerpair-waiting-'));
  const owner = { home: 'filer-a', server: 'filer-a', incarnation: 'filer-a/here/1', epoch: 1 };
  volume = await openVolume({ name: 'data', path }, owner, OPEN, () => {});
  await volume.recorded;
  diskSet = new DiskSet([volume], ExportSpecs.of([DATA]), { filesMax: 100, descriptorsMax: 100 });
  const queue = { whenUnchanging: (_key: string, now: () => void) => (ready = now) };
  context = new NfsContext(diskSet, {
    logOf: () => queue as never,
    onBug: (error) => {
      throw error;
    },
    onStep: () => {},
  });
});
afterEach(async () => {
  become(SERVER_IDENTITY);
  await diskSet.close();
  rmSync(path, { recursive: true, force: true });
});

function root(): OpenFile {
  return diskSet.rootOf(diskSet.exports.all[0]!) as OpenFile;
}
/** A client's user root, after the credential of a call was taken. */
function rootOfClient(): ConnectionCaller {
  const caller = new ConnectionCaller('127.0.0.1', 700, { host: 1, address: 700, number: 1 }, null);
  const { flavor, body } = ROOT;
  const header = Object.assign(new CallHeader(), { credFlavor: flavor, credStart: 0, credSize: body.length });
  if (!caller.take(new XdrReader(body), header)) throw new Error('the credential was refused');
  return caller;
}
const statusOf = (results: Uint8Array): number => new XdrReader(results).u32();

test.each(changes)('a WRITE behind a SETATTR, when the export is %s', async (_title, exports, status) => {
  writeFileSync(join(path, 'file'), '');
  const file = diskSet.lookup(root(), bytes('file'), SERVER_IDENTITY) as OpenFile;
  volume.changing.add(file.key);
  const w = new XdrWriter();
  const args = {
    file: file.handle,
    offset: 0,
    count: 4,
    stable: nfs.FILE_SYNC,
    data: bytes('data'),
  } as const;
  nfs.nfs3Procedures.WRITE.args.encode(w, args);
  const answer = new Promise<Uint8Array>((resolve) => {
    const call: RpcCall = {
      caller: rootOfClient(),
      r: new XdrReader(w.written()),
      w: new XdrWriter(),
      callStart: 0,
      byteCount: 0,
      announced: () => {},
      answerLater: () => (results) => resolve(results!),
    };
    expect(write(call, context)).toBe(LATER);
  });
  diskSet.exported.replace(ExportSpecs.of(exports));
  volume.changing.remove(file.key);
  ready();
  // Squashed, it has another user, who may not write.
  const mayWrite = status === nfs.NFS3_OK ? nfs.NFS3ERR_ACCES : status;
  expect(statusOf(await answer)).toBe(mayWrite);
  become(SERVER_IDENTITY);
  expect(statSync(join(path, 'file')).size).toBe(0);
});

test.each(changes)(
  'an operation that waits for its group, when the export is %s',
  (_title, exports, status) => {
    const w = new XdrWriter();
    const how = { mode: nfs.GUARDED, obj_attributes: nfs.SATTR3_NOTHING } as const;
    nfs.nfs3Procedures.CREATE.args.encode(w, { where: { dir: root().handle, name: bytes('new') }, how });
    const request = new Request(
      context,
      'key'.padEnd(16, '.'),
      create,
      w.written().slice(),
      rootOfClient().userOf(),
    );
    expect(request.check().plan).not.toBeNull();
    diskSet.exported.replace(ExportSpecs.of(exports));
    // Squashed, it has another user, who may not search the directory.
    const { plan, results } = request.check();
    expect(plan).toBeNull();
    expect(statusOf(results)).toBe(status === nfs.NFS3_OK ? nfs.NFS3ERR_ACCES : status);
  },
);
