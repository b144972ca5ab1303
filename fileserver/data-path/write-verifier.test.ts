/**
 * The write verifier changes exactly when unstable data may be lost. Over any succession of owners, it is the same after an
 * orderly stop (home again or the partner next), and another one after everything else.
 */
import { afterAll, expect, test } from 'vitest';
import * as nfs from '../../protocol/nfs3.ts';
import { mount, openMessage, TestDataThread, temporaryDirectory } from './data-thread.fixture.ts';
import { RpcClient } from './rpc-client.fixture.ts';

const ENDS = ['quiesce', 'fence', 'kill'] as const;
/** kill: its threads are ended wherever they are. Kept short, since each owner is a start-up. */
const LIVES: readonly (readonly [server: string, end: (typeof ENDS)[number]])[] = [
  ['filer-a', 'quiesce'],
  ['filer-a', 'quiesce'],
  ['filer-b', 'quiesce'],
  ['filer-a', 'fence'],
  ['filer-b', 'fence'],
  ['filer-b', 'kill'],
  ['filer-a', 'kill'],
  ['filer-a', 'quiesce'],
  ['filer-b', 'kill'],
  ['filer-a', 'fence'],
  ['filer-a', 'quiesce'],
  ['filer-a', 'quiesce'],
];

const directory = temporaryDirectory();
let thread = new TestDataThread();
afterAll(async () => {
  await thread.stop();
  directory.remove();
});

test('the verifier stays after an orderly stop, and only then', async () => {
  const seen: string[] = [];
  for (let i = 0; i < LIVES.length; i++) {
    const [server, end] = LIVES[i]!;
    const { port } = await thread.open(openMessage(directory.path, { server, epoch: i + 1 }));
    const client = await RpcClient.connect(port);
    const root = await mount(client, '/data');
    const how = { mode: nfs.UNCHECKED, obj_attributes: { ...nfs.SATTR3_NOTHING, mode: 0o600 } };
    const where = { dir: root, name: new TextEncoder().encode('file') };
    const made = await client.call('CREATE', { where, how });
    if (made.status !== nfs.NFS3_OK) throw new Error(nfs.nfsstat3Name(made.status));
    const args = { file: made.obj!, offset: i, count: 1, stable: nfs.UNSTABLE, data: new Uint8Array(1) };
    const written = await client.call('WRITE', args);
    if (written.status !== nfs.NFS3_OK) throw new Error(nfs.nfsstat3Name(written.status));
    const committed = await client.call('COMMIT', { file: made.obj!, offset: 0, count: 0 });
    if (committed.status !== nfs.NFS3_OK) throw new Error(nfs.nfsstat3Name(committed.status));
    const verifier = Buffer.from(written.verf).toString('hex');
    // Within one owner's life it never changes.
    expect(Buffer.from(committed.verf).toString('hex')).toBe(verifier);
    if (i > 0)
      expect(verifier === seen.at(-1), `after ${LIVES[i - 1]!.join(' ')}`).toBe(
        LIVES[i - 1]![1] === 'quiesce',
      );
    // Never one of an earlier time again.
    if (verifier !== seen.at(-1)) expect(seen).not.toContain(verifier);
    seen.push(verifier);
    if (end === 'kill') {
      await thread.stop();
      thread = new TestDataThread();
    } else {
      await thread.close('local', end);
    }
    client.close();
  }
}, 90_000);
