import { afterEach, beforeEach, expect, it } from 'vitest';
import { NFS_PROGRAM, NFS_V3, NFS3ERR_JUKEBOX, NFS3ERR_STALE, nfs3Procedures } from '../protocol/nfs3.ts';
import { XdrWriter } from '../protocol/xdr.ts';
import { eventually } from '../testing/eventually.ts';
import { pause } from '../testing/pause.ts';
import { credentialOf } from './identity.ts';
import { Nfs3Client } from './nfs3-client.ts';
import { Resolver } from './resolver.ts';
import { RpcClient, type RpcClientOptions } from './rpc-client.ts';
import { answer, type ScriptedCall, ScriptedServer } from './scripted-server.fixture.ts';
import { tcpAddress } from './transport-address.ts';

const HANDLE = Buffer.alloc(8);

let server: ScriptedServer;
let rpc: RpcClient | null;

beforeEach(async () => {
  server = await ScriptedServer.create('open');
  rpc = null;
});
afterEach(async () => {
  rpc?.close();
  await server.shut();
});

function client(options: Partial<RpcClientOptions> = {}): Nfs3Client {
  rpc = new RpcClient({
    endpoints: { primary: tcpAddress('127.0.0.1', server.port), secondary: null },
    resolver: new Resolver(),
    program: NFS_PROGRAM,
    version: NFS_V3,
    credential: credentialOf({ uid: 0, gid: 0, gids: [] }),
    ...options,
  });
  return new Nfs3Client(rpc);
}

function answerWith(call: ScriptedCall, status: typeof NFS3ERR_JUKEBOX | typeof NFS3ERR_STALE): void {
  const w = new XdrWriter();
  nfs3Procedures.GETATTR.res.encode(w, { status });
  answer(call, w.written());
}

it.each([Number.POSITIVE_INFINITY, 30 * 86_400_000])('a time-out of %d ms is none', async (callTimeoutMs) => {
  server.onCall = () => {};
  let failed = false;
  client({ callTimeoutMs })
    .getattr(HANDLE)
    .catch(() => {
      failed = true;
    });
  await eventually('the call is there', 60_000, () => server.calls.length === 1);
  await pause(100, 'a call that does not wait would have failed');
  expect(failed).toBe(false);
});

it('waits when the server says that it should, under a new XID each time', async () => {
  server.onCall = (call) => answerWith(call, server.calls.length < 3 ? NFS3ERR_JUKEBOX : NFS3ERR_STALE);
  await expect(client().getattr(HANDLE)).rejects.toMatchObject({ status: NFS3ERR_STALE });
  expect(new Set(server.calls.map((call) => call.xid)).size).toBe(3);
});

it('waits so no longer than for a reply', async () => {
  server.onCall = (call) => answerWith(call, NFS3ERR_JUKEBOX);
  const getattr = client({ callTimeoutMs: 3000 }).getattr(HANDLE);
  await expect(getattr).rejects.toMatchObject({ status: NFS3ERR_JUKEBOX });
  expect(server.calls.length).toBeGreaterThan(2);
});

it('answers a call although the listener for calls throws', async () => {
  const thrown: unknown[] = [];
  const before = process.listeners('uncaughtException');
  process.removeAllListeners('uncaughtException');
  process.on('uncaughtException', (error) => thrown.push(error));
  try {
    server.onCall = (call) => answerWith(call, NFS3ERR_STALE);
    const onCall = () => {
      throw new Error('the listener failed');
    };
    await expect(client({ onCall }).getattr(HANDLE)).rejects.toMatchObject({ status: NFS3ERR_STALE });
    await eventually('the process hears of it', 60_000, () => thrown.length === 1);
  } finally {
    process.removeAllListeners('uncaughtException');
    for (const each of before) process.on('uncaughtException', each);
  }
});
