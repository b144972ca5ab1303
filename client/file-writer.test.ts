import { afterEach, describe, expect, it } from 'vitest';
import {
  DATA_SYNC,
  decodeWRITE3args,
  encodeCOMMIT3res,
  encodeWRITE3res,
  FILE_SYNC,
  NFS_PROGRAM,
  NFS_V3,
  NFS3_OK,
  NFS3ERR_NOSPC,
  nfsproc3,
  type stable_how,
  UNSTABLE,
} from '../protocol/nfs3.ts';
import { CallHeader, decodeCallHeader } from '../protocol/rpc.ts';
import { XdrReader, XdrWriter } from '../protocol/xdr.ts';
import { NfsError } from './errors.ts';
import { FileWriter, type FileWriterOptions } from './file-writer.ts';
import { credentialOf } from './identity.ts';
import { Nfs3Client } from './nfs3-client.ts';
import { Resolver } from './resolver.ts';
import { RpcClient } from './rpc-client.ts';
import { answer, type ScriptedCall, ScriptedServer } from './scripted-server.fixture.ts';
import { tcpAddress } from './transport-address.ts';

const cleanUp: (() => unknown)[] = [];
afterEach(async () => {
  for (const each of cleanUp.splice(0).reverse()) await each();
});

const NO_WCC = { before: null, after: null };

/** A file whose unstable data can be lost on command, as a server's death loses it. */
class ForgetfulFile {
  readonly durable = Buffer.alloc(4096, '.');
  private volatile_: { offset: number; data: Buffer }[] = [];
  private epoch = 1;
  writes = 0;
  commits = 0;
  /** How much of a WRITE is taken; RFC 1813 allows less than all. */
  take = Number.POSITIVE_INFINITY;
  committed: stable_how = UNSTABLE;
  onCommit: () => void = () => {};
  failWrites = false;

  loseUnstable(): void {
    this.volatile_ = [];
    this.epoch += 1;
  }

  serve(call: ScriptedCall): void {
    const reader = new XdrReader(call.message);
    decodeCallHeader(reader, new CallHeader());
    const w = new XdrWriter();
    if (call.procedure === nfsproc3.WRITE) this.write(reader, w);
    else this.commit(w);
    answer(call, w.written());
  }

  private get verf(): Uint8Array {
    return Buffer.alloc(8, this.epoch);
  }

  private write(reader: XdrReader, w: XdrWriter): void {
    this.writes += 1;
    const args = decodeWRITE3args(reader);
    const { data } = args;
    const offset = Number(args.offset);
    if (this.failWrites) {
      encodeWRITE3res(w, { status: NFS3ERR_NOSPC, file_wcc: NO_WCC });
      return;
    }
    const taken = Buffer.from(data.subarray(0, this.take));
    if (this.committed === UNSTABLE) this.volatile_.push({ offset, data: taken });
    else this.durable.set(taken, offset);
    const { committed, verf } = this;
    encodeWRITE3res(w, { status: NFS3_OK, file_wcc: NO_WCC, count: taken.length, committed, verf });
  }

  private commit(w: XdrWriter): void {
    this.commits += 1;
    this.onCommit();
    for (const { offset, data } of this.volatile_) this.durable.set(data, offset);
    this.volatile_ = [];
    encodeCOMMIT3res(w, { status: NFS3_OK, file_wcc: NO_WCC, verf: this.verf });
  }
}

async function stage(options: Partial<FileWriterOptions> = {}) {
  const server = await ScriptedServer.create('open');
  const file = new ForgetfulFile();
  server.onCall = (call) => file.serve(call);
  const rpc = new RpcClient({
    endpoints: { primary: tcpAddress('127.0.0.1', server.port), secondary: null },
    resolver: new Resolver(),
    program: NFS_PROGRAM,
    version: NFS_V3,
    credential: credentialOf({ uid: 0, gid: 0, gids: [] }),
  });
  cleanUp.push(
    () => server.shut(),
    () => rpc.close(),
  );
  const writer = new FileWriter(new Nfs3Client(rpc), Buffer.from('handle'), { writeSize: 16, ...options });
  return { file, writer };
}

const CONTENTS = Buffer.from('abcdefghijklmnopqrstuvwxyz'.repeat(20));
const start = (file: ForgetfulFile) => file.durable.subarray(0, CONTENTS.length).toString();

describe('file writer', () => {
  it('writes in pieces of the size the server wants, and one COMMIT makes them durable', async () => {
    const { file, writer } = await stage();
    await writer.write(0, CONTENTS);
    await writer.commit();
    expect(start(file)).toBe(CONTENTS.toString());
    expect([file.writes, file.commits, writer.rewritten]).toEqual([Math.ceil(CONTENTS.length / 16), 1, 0]);
  });

  it('writes again what a server lost before the COMMIT, once for each loss', async () => {
    const { file, writer } = await stage();
    let losses = 2;
    file.onCommit = () => {
      if (losses-- > 0) file.loseUnstable();
    };
    await writer.write(0, CONTENTS);
    await writer.commit();
    expect(start(file)).toBe(CONTENTS.toString());
    expect(writer.rewritten).toBe(2 * CONTENTS.length);
  });

  it('writes again only what was lost: data of after the loss keeps its place', async () => {
    const { file, writer } = await stage({ window: 1 });
    await writer.write(0, CONTENTS.subarray(0, 256));
    await writer.write(256, CONTENTS.subarray(256, 272));
    // The window is one: all but the last WRITE are answered by now.
    file.loseUnstable();
    await writer.write(272, CONTENTS.subarray(272));
    await writer.commit();
    expect(start(file)).toBe(CONTENTS.toString());
    expect(writer.rewritten).toBeGreaterThanOrEqual(256);
    expect(writer.rewritten).toBeLessThanOrEqual(272);
  });

  it('sends the rest when a server takes only a part', async () => {
    const { file, writer } = await stage();
    file.take = 5;
    await writer.write(0, CONTENTS);
    await writer.commit();
    expect(start(file)).toBe(CONTENTS.toString());
  });

  it('needs no COMMIT for what the server calls FILE_SYNC, and one for DATA_SYNC: the size may not be on the disk', async () => {
    const { file, writer } = await stage();
    file.committed = FILE_SYNC;
    await writer.write(0, CONTENTS);
    await writer.commit();
    expect([start(file), file.commits]).toEqual([CONTENTS.toString(), 0]);
    file.committed = DATA_SYNC;
    await writer.write(0, CONTENTS);
    await writer.commit();
    expect(file.commits).toBe(1);
  });

  it('keeps at most so much unconfirmed data', async () => {
    const { file, writer } = await stage({ unconfirmedSizeMax: 64 });
    await writer.write(0, CONTENTS);
    await writer.commit();
    expect(start(file)).toBe(CONTENTS.toString());
    expect(file.commits).toBeGreaterThanOrEqual(Math.floor(CONTENTS.length / 64) - 1);
  });

  it('reports the first failure, to the write or to the commit that follows', async () => {
    const { file, writer } = await stage();
    file.failWrites = true;
    const outcome = writer.write(0, CONTENTS).then(() => writer.commit());
    await expect(outcome).rejects.toBeInstanceOf(NfsError);
    await expect(writer.commit()).rejects.toMatchObject({ status: NFS3ERR_NOSPC });
  });
});
