import { afterEach, describe, expect, it } from 'vitest';
import { FILE_SYNC, NFS_PROGRAM, NFS_V3, nfs3Procedures, nfsproc3 } from '../protocol/nfs3.ts';
import { CallHeader, decodeCallHeader } from '../protocol/rpc.ts';
import { XdrReader } from '../protocol/xdr.ts';
import { eventually } from '../testing/eventually.ts';
import { pause } from '../testing/pause.ts';
import { CallTimeout } from './errors.ts';
import { credentialOf } from './identity.ts';
import { Nfs3Client } from './nfs3-client.ts';
import { Resolver } from './resolver.ts';
import { RpcClient } from './rpc-client.ts';
import { ScriptedServer } from './scripted-server.fixture.ts';
import { tcpAddress } from './transport-address.ts';

const cleanUp: (() => unknown)[] = [];
afterEach(async () => {
  for (const each of cleanUp.splice(0).reverse()) await each();
});

const MIB = 1024 * 1024;
const HANDLE = Buffer.from('file');

async function stage(timeoutMs: number) {
  const server = await ScriptedServer.create('open');
  const rpc = new RpcClient({
    endpoints: { primary: tcpAddress('127.0.0.1', server.port), secondary: null },
    resolver: new Resolver(),
    program: NFS_PROGRAM,
    version: NFS_V3,
    credential: credentialOf({ uid: 0, gid: 0, gids: [] }),
    callTimeoutMs: timeoutMs,
    // No new connection to the same port ends the old one before the time-out does.
    attempts: { samePortPatienceMs: 60_000 },
  });
  cleanUp.push(
    () => server.shut(),
    () => rpc.close(),
  );
  return { server, rpc, nfs: new Nfs3Client(rpc) };
}

describe('a call that timed out', () => {
  it('sends nothing any more of the memory that its caller has back', async () => {
    const { server, nfs } = await stage(1000);
    server.onCall = () => {};
    const accepted = () => server.accepted.find((each) => each.bytesRead > 0 && !each.destroyed);
    await eventually('there is a connection', 60_000, () => accepted() !== undefined);
    await nfs.getattr(HANDLE).catch(() => {});
    const busy = server.calls.at(-1)!.socket;
    // The server reads nothing for a while: most of what is written stays in this process.
    busy.pause();
    const buffers = Array.from({ length: 64 }, (_, i) => Buffer.alloc(MIB, i));
    const outcomes = await Promise.allSettled(
      buffers.map((data, i) => nfs.write(HANDLE, i * MIB, data, FILE_SYNC)),
    );
    for (const each of outcomes) expect(each).toMatchObject({ reason: expect.any(CallTimeout) });
    // Its next use.
    for (const each of buffers) each.fill(0xee);
    const gone = new Promise((resolve) => busy.once('close', resolve));
    busy.resume();
    await Promise.race([gone, pause(2000, 'no data comes any more where the connection stays open')]);
    let arrived = 0;
    for (const call of server.calls) {
      if (call.procedure !== nfsproc3.WRITE) continue;
      const reader = new XdrReader(call.message);
      decodeCallHeader(reader, new CallHeader());
      const { offset, data } = nfs3Procedures.WRITE.args.decode(reader);
      arrived += 1;
      expect(Buffer.compare(data, Buffer.alloc(MIB, Number(offset) / MIB))).toBe(0);
    }
    expect(arrived).toBeLessThan(64);
  });
});
