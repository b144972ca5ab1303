/** A process that holds some thousand clients of one server, each with a connection of its own and no knowledge of the others. */

import { DiskSetIdentity } from '../../client/disk-set-identity.ts';
import { FailoverConnection } from '../../client/failover-connection.ts';
import { Resolver } from '../../client/resolver.ts';
import { tcpAddress } from '../../client/transport-address.ts';
import { bootMs } from '../../fileserver/system/boottime.ts';
import * as nfs3 from '../../protocol/nfs3.ts';
import { beginRecord, endRecord } from '../../protocol/record.ts';
import { encodeCallHeader } from '../../protocol/rpc.ts';
import { XdrWriter } from '../../protocol/xdr.ts';
import { rootCredential } from '../generator/stage.ts';
import type { FromHerd, HerdRequest, ToHerd } from './messages.ts';

/** Clients that connect at once: fewer than a server's queue of connections that it has not accepted. */
const BATCH = 100;

class Client {
  readonly #connection: FailoverConnection;
  readonly #root: Uint8Array;
  #answered = Promise.withResolvers<void>();
  #lost = Promise.withResolvers<void>();
  #xid = Math.floor(Math.random() * 2 ** 31);
  attempts = 0;

  constructor(request: HerdRequest) {
    this.#root = Uint8Array.from(request.root);
    const identity = new DiskSetIdentity();
    identity.mounted(this.#root, rootCredential);
    this.#connection = new FailoverConnection({
      endpoints: {
        primary: tcpAddress('127.0.0.1', request.primaryPort),
        secondary: tcpAddress('127.0.0.1', request.secondaryPort),
      },
      resolver: new Resolver(),
      program: nfs3.NFS_PROGRAM,
      version: nfs3.NFS_V3,
      identity,
      onReply: () => this.#answered.resolve(),
      onRefused: () => this.#answered.reject(new Error('a call was refused')),
      onEvent: (event) => {
        if (event.kind === 'Lost') this.#lost.resolve();
        if (event.kind === 'Adopted') this.attempts = event.attempts;
      },
    });
    this.#connection.start();
  }

  /** GETATTR of the exported directory. */
  async call(): Promise<void> {
    this.#answered = Promise.withResolvers();
    const w = new XdrWriter();
    const record = beginRecord(w);
    const {
      proc,
      args: { encode: encodeArgs },
    } = nfs3.nfs3Procedures.GETATTR;
    this.#xid += 1;
    encodeCallHeader(w, this.#xid, nfs3.NFS_PROGRAM, nfs3.NFS_V3, proc, rootCredential);
    encodeArgs(w, { object: this.#root });
    endRecord(w, record);
    this.#connection.send(this.#xid, w.written().slice());
    await this.#answered.promise;
  }

  whenLost(): Promise<void> {
    return this.#lost.promise;
  }

  close(): void {
    this.#connection.close();
  }
}

const clients: Client[] = [];

async function start(request: HerdRequest): Promise<void> {
  while (clients.length < request.clients) {
    const batch = Array.from(
      { length: Math.min(BATCH, request.clients - clients.length) },
      () => new Client(request),
    );
    await Promise.all(batch.map((client) => client.call()));
    clients.push(...batch);
  }
  send({ kind: 'connected' });
}

/** Each calls as soon as it has lost its server. */
async function watch(): Promise<void> {
  const servedAtMs: number[] = [];
  await Promise.all(
    clients.map(async (client) => {
      await client.whenLost();
      await client.call();
      servedAtMs.push(bootMs());
    }),
  );
  const attempts = clients.reduce((sum, client) => sum + client.attempts, 0);
  send({ kind: 'served', figures: { servedAtMs, attempts } });
  for (const client of clients) client.close();
  process.disconnect();
}

function send(message: FromHerd): void {
  process.send!(message);
}

process.on('message', (message: ToHerd) => {
  void (message.kind === 'start' ? start(message.request) : watch());
});
