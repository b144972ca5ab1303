/**
 * A process with 1,024 descriptors, as many machines allow: idle connections and files of clients never take those that the
 * server itself needs.
 */
import { connect, type Socket } from 'node:net';
import { afterEach, beforeEach, expect, test } from 'vitest';
import * as nfs from '../../protocol/nfs3.ts';
import { ConfinedServer } from './confined-server.fixture.ts';
import { mount, openMessage, temporaryDirectory } from './data-thread.fixture.ts';
import { RpcClient } from './rpc-client.fixture.ts';

const CONNECTIONS = 4000;
const FILES = 2000;
const AT_ONCE = 16;
const how: nfs.createhow3 = { mode: nfs.GUARDED, obj_attributes: { ...nfs.SATTR3_NOTHING, mode: 0o644 } };

let directory: { path: string; remove: () => void };
let server: ConfinedServer;
let sockets: Socket[];

beforeEach(() => {
  directory = temporaryDirectory();
  sockets = [];
});
afterEach(async () => {
  for (const socket of sockets) socket.destroy();
  await server.stop();
  directory.remove();
});

test('4,000 idle connections and a client that makes files: it is served on, without a fault', async () => {
  server = new ConfinedServer(['prlimit', '--nofile=1024:1024']);
  const port = await server.open(openMessage(directory.path), { ownerLookMs: 20 });
  const client = await RpcClient.connect(port);
  const dir = await mount(client, '/data');
  const opened = Array.from({ length: CONNECTIONS }, () => {
    const socket = connect(port, '127.0.0.1');
    sockets.push(socket);
    return new Promise<void>((resolve) => {
      socket.once('connect', () => resolve());
      socket.once('error', () => resolve());
    });
  });
  let next = 0;
  const results = new Map<string, number>();
  const load = Array.from({ length: AT_ONCE }, async () => {
    while (next < FILES) {
      const name = new TextEncoder().encode(`file-${next++}`);
      const made = await client.call('CREATE', { where: { dir, name }, how });
      const status = nfs.nfsstat3Name(made.status);
      results.set(status, (results.get(status) ?? 0) + 1);
      if (made.status !== nfs.NFS3_OK) continue;
      // So that every thread opens it.
      const read = await client.call('READ', { file: made.obj!, offset: 0, count: 1 });
      expect(nfs.nfsstat3Name(read.status)).toBe('NFS3_OK');
    }
  });
  await Promise.all([...opened, ...load]);
  expect(Object.fromEntries(results)).toEqual({ NFS3_OK: FILES });
  const told = server.messages.filter(({ kind }) => kind === 'fault');
  expect(told).toEqual([]);
  const log = server.messages.flatMap((one) => (one.kind === 'log' ? [one.message] : []));
  expect(log.join('\n')).toContain('connections from 127.0.0.1 are refused');
  client.close();
});
