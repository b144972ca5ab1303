import { once } from 'node:events';
import { readFile } from 'node:fs/promises';
import { connect } from 'node:net';
import { beforeAll, describe, expect, it } from 'vitest';
import { NFS_PROGRAM, NFS_V3, nfsproc3 } from '../../protocol/nfs3.ts';
import { IDENTITY_SIZE, successionproc1 } from '../../protocol/succession.ts';
import { eventually } from '../../testing/eventually.ts';
import { pause } from '../../testing/pause.ts';
import type { AttemptsOptions } from '../attempts-state.ts';
import type { ConnectionEvent } from '../connection-event.ts';
import { FailoverConnection } from '../failover-connection.ts';
import { Resolver } from '../resolver.ts';
import {
  answer,
  ownLoopback,
  replyRecord,
  type ScriptedCall,
  ScriptedServer,
} from '../scripted-server.fixture.ts';
import { tcpAddress } from '../transport-address.ts';
import { CALL_COST } from './call-memory.ts';
import { callRecord, cleanUp, messageOf, PlainClient } from './plain-client.fixture.ts';
import { NfsProxy, type ProxyEvent, type ProxyOptions } from './proxy.ts';

/** Of the proxies of the present tests. */
let rawCalls = true;

interface Stage {
  readonly a: ScriptedServer;
  readonly b: ScriptedServer;
  readonly proxy: NfsProxy;
  readonly events: ProxyEvent[];
}

/** A pair whose home server serves, and a proxy in front. */
async function stage(
  pendingSizeMax?: number,
  attempts: Partial<AttemptsOptions> = {},
  options: Partial<ProxyOptions> = {},
): Promise<Stage> {
  const a = await ScriptedServer.create('open', ownLoopback);
  const b = await ScriptedServer.create('closed', ownLoopback);
  const events: ProxyEvent[] = [];
  const proxy = await NfsProxy.listen({
    endpoints: { primary: tcpAddress(ownLoopback, a.port), secondary: tcpAddress(ownLoopback, b.port) },
    host: '127.0.0.1',
    port: 0,
    memory: pendingSizeMax === undefined ? undefined : { ofOne: pendingSizeMax, ofAll: 16 * pendingSizeMax },
    rawCalls,
    ...options,
    attempts: { intervalMs: 2, intervalMsMax: 5, ...attempts },
    onEvent: (event) => events.push(event),
  });
  cleanUp.push(
    () => a.shut(),
    () => b.shut(),
    () => proxy.close(),
  );
  return { a, b, proxy, events };
}

describe.each([
  ['relay threads', true],
  ["Node's sockets", false],
] as const)('the proxy with %s', (_, withRawCalls) => {
  beforeAll(() => {
    rawCalls = withRawCalls;
  });

  describe('a proxied connection', () => {
    it('survives takeover and giveback without being closed, and every call is answered once', async () => {
      const { a, b, proxy } = await stage();
      const client = new PlainClient(proxy.port);
      let xid = 100;
      for (let round = 0; round < 6; round++) {
        const [from, to] = round % 2 === 0 ? [a, b] : [b, a];
        const before = client.replies.length;
        for (let i = 0; i < 5; i++) client.socket.write(callRecord(++xid));
        await eventually('five replies', 60_000, () => client.replies.length === before + 5);
        from.onCall = () => {};
        for (let i = 0; i < 5; i++) client.socket.write(callRecord(++xid));
        await eventually('five calls are there', 60_000, () => from.calls.slice(-1)[0]?.xid === xid);
        to.onCall = (each) => answer(each);
        await from.shut();
        await to.open();
        await eventually('five more replies', 60_000, () => client.replies.length === before + 10);
      }
      const xids = client.replies.map((each) => each.xid);
      expect(xids).toEqual([...Array(60).keys()].map((i) => 101 + i));
      expect(client.closed).toBe(false);
    });

    it('forwards a repeated call only once while it is unanswered, and anew afterwards', async () => {
      const { a, proxy, events } = await stage();
      a.onCall = () => {};
      const client = new PlainClient(proxy.port);
      client.socket.write(Buffer.concat([callRecord(7), callRecord(7), callRecord(7), callRecord(8)]));
      await eventually('both calls are there', 60_000, () => a.calls.length === 2);
      expect(a.calls.map((each) => each.xid)).toEqual([7, 8]);
      answer(a.calls[0]!);
      await eventually('the reply', 60_000, () => client.replies.length === 1);
      client.socket.write(callRecord(7));
      await eventually('the XID is used anew', 60_000, () => a.calls.length === 3);
      client.socket.destroy();
      await eventually('the client is gone', 60_000, () => events.some((each) => each.kind === 'ClientGone'));
      expect(events.find((each) => each.kind === 'ClientGone')).toMatchObject({
        counts: { calls: 5, repeated: 2 },
      });
    });

    it('ends with a call that the server answers by closing: its client learns of it', async () => {
      const { a, proxy } = await stage();
      a.onCall = (each) => (each.xid === 7 ? each.socket.end() : answer(each));
      const neighbour = new PlainClient(proxy.port);
      const client = new PlainClient(proxy.port);
      client.socket.write(callRecord(7));
      await eventually('the client is out', 60_000, () => client.closed);
      neighbour.socket.write(callRecord(8));
      await eventually('the neighbour is served', 60_000, () => neighbour.replies.length === 1);
    });

    it('keeps clients with the same XID apart', async () => {
      const { a, proxy } = await stage();
      a.onCall = (each) => answer(each, each.message.subarray(44));
      const one = new PlainClient(proxy.port);
      const two = new PlainClient(proxy.port);
      one.socket.write(callRecord(7, 'one.'));
      two.socket.write(callRecord(7, 'two.'));
      await eventually('both replies', 60_000, () => one.replies.length === 1 && two.replies.length === 1);
      expect([one.replies[0]!.results, two.replies[0]!.results]).toEqual(['one.', 'two.']);
    });

    it('ends with the client: nothing of it is resent to the partner, where it might undo what came later', async () => {
      const { a, b, proxy } = await stage();
      a.onCall = () => {};
      const client = new PlainClient(proxy.port);
      client.socket.write(callRecord(7));
      await eventually('the call is there', 60_000, () => a.calls.length === 1);
      client.socket.destroy();
      await eventually('nothing is left', 60_000, () => a.connections === 0 && proxy.pendingSize === 0);
      await a.shut();
      await b.open();
      const next = new PlainClient(proxy.port);
      next.socket.write(callRecord(8));
      await eventually('the next client is served', 60_000, () => next.replies.length === 1);
      expect(b.calls.map((each) => each.xid)).toEqual([8]);
    });
  });

  describe('who the clients of a proxy are to the servers', () => {
    /** What the proxy says on each connection that it adopts. */
    const identitiesAt = (server: ScriptedServer): string[] => {
      const said: string[] = [];
      server.onAnnouncement = (call) => {
        if (call.procedure === successionproc1.IDENTIFY)
          said.push(call.message.subarray(-IDENTITY_SIZE).toString('hex'));
        answer(call);
      };
      return said;
    };

    it('is the same for all of them, on every connection, and from another proxy only if it has that from this one', async () => {
      const clientIdentity = new Uint8Array(IDENTITY_SIZE).fill(0xab);
      const said: string[][] = [];
      for (const options of [{}, {}, { clientIdentity }]) {
        const { a, b, proxy } = await stage(undefined, {}, options);
        const here = [identitiesAt(a), identitiesAt(b)] as const;
        const clients = [new PlainClient(proxy.port), new PlainClient(proxy.port)];
        for (const [at, server] of [a, b].entries()) {
          for (const client of clients) client.socket.write(callRecord(at));
          await eventually('each is answered', 60_000, () =>
            clients.every(({ replies }) => replies.length === at + 1),
          );
          expect(new Set(here[at])).toHaveLength(1);
          if (server === b) continue;
          await a.shut();
          await b.open();
        }
        said.push([here[0][0]!, here[1][0]!]);
      }
      const [first, second, third] = said as [string[], string[], string[]];
      expect(first[1]).toBe(first[0]);
      expect(second[0]).not.toBe(first[0]);
      expect(third).toEqual(['ab'.repeat(IDENTITY_SIZE), 'ab'.repeat(IDENTITY_SIZE)]);
    });
  });

  describe('a client of ours behind the proxy', () => {
    it('keeps its connection while both ask a slow server whether it is there', async () => {
      const { a, proxy, events } = await stage();
      const own: ConnectionEvent[] = [];
      const replies: number[] = [];
      const client = new FailoverConnection({
        endpoints: { primary: tcpAddress('127.0.0.1', proxy.port), secondary: null },
        resolver: new Resolver(),
        program: NFS_PROGRAM,
        version: NFS_V3,
        onReply: (xid) => replies.push(xid),
        onRefused: () => {},
        onEvent: (event) => own.push(event),
      });
      cleanUp.push(() => client.close());
      client.start();
      let slow: ScriptedCall[] = [];
      a.onCall = (each) => slow.push(each);
      a.onNull = (each) => {
        if (slow.length === 0) answer(each);
        else slow.push(each);
      };
      for (let xid = 100; xid < 105; xid++) {
        client.send(xid, callRecord(xid));
        await eventually('client and proxy have both asked', 60_000, () => slow.length >= 3);
        for (const each of slow.splice(0)) answer(each);
        await eventually('the call is answered', 60_000, () => replies.includes(xid));
        slow = [];
      }
      const kinds = events.flatMap((each) => (each.kind === 'Upstream' ? [each.event.kind] : []));
      expect(kinds.concat(own.map((each) => each.kind))).not.toContain('Lost');
    });
  });

  describe('a client that ends', () => {
    const pendingSizeMax = 1024 * 1024;
    const record = (xid: number) => callRecord(xid, Buffer.alloc(64 * 1024, 'x'));
    /** What the proxy is in the middle of: prepared with a client, resolves when it is so. */
    const states: Record<string, (on: Stage, client: PlainClient) => Promise<void>> = {
      'while its call is at the server': async ({ a }, client) => {
        a.onCall = () => {};
        client.socket.write(record(7));
        await eventually('the call is there', 60_000, () => a.calls.length === 1);
      },
      'while no server serves': async ({ a, proxy }, client) => {
        await a.shut();
        client.socket.write(record(7));
        await eventually('the call waits', 60_000, () => proxy.pendingSize > 0);
      },
      'while the proxy is full': async ({ a, proxy }, client) => {
        a.onCall = () => {};
        for (let xid = 1; xid <= 400; xid++) client.socket.write(record(xid));
        await eventually('the proxy is full', 60_000, () => proxy.pendingSize >= pendingSizeMax);
      },
      'while the proxy is full and no server serves': async ({ a, proxy }, client) => {
        await a.shut();
        for (let xid = 1; xid <= 400; xid++) client.socket.write(record(xid));
        await eventually('the proxy is full', 60_000, () => proxy.pendingSize >= pendingSizeMax);
      },
      'while it does not read its replies': async ({ a, proxy }, client) => {
        a.onCall = (each) => answer(each, Buffer.alloc(1024 * 1024));
        client.socket.pause();
        for (let xid = 1; xid <= 64; xid++) client.socket.write(record(xid));
        await eventually('calls are left over', 60_000, () => a.calls.length > 8 && proxy.pendingSize > 0);
      },
    };
    for (const [when, prepare] of Object.entries(states)) {
      for (const how of ['FIN', 'RST'] as const) {
        it(`${when}, by ${how}, has nothing sent any more`, async () => {
          const on = await stage(pendingSizeMax);
          const client = new PlainClient(on.proxy.port);
          await prepare(on, client);
          if (how === 'FIN') client.socket.destroy();
          else client.socket.resetAndDestroy();
          await eventually('the proxy has noticed', 60_000, () =>
            on.events.some((each) => each.kind === 'ClientGone'),
          );
          expect(on.proxy.pendingSize).toBe(0);
          await eventually('its connection to the server has ended', 60_000, () => on.a.connections === 0);
          await on.a.shut();
          await on.b.open();
          const next = new PlainClient(on.proxy.port);
          next.socket.write(callRecord(1000));
          await eventually('the next client is served', 60_000, () => next.replies.length === 1);
          expect(on.b.calls.map((each) => each.xid)).toEqual([1000]);
        });
      }
    }

    it('and comes back from the same port has ended for the proxy at once', async () => {
      const { a, proxy, events } = await stage(pendingSizeMax);
      a.onCall = () => {};
      // An address of its own: on the usual one another process may take the port in between.
      const localAddress = '127.0.77.1';
      const client = new PlainClient(proxy.port, localAddress);
      for (let xid = 1; xid <= 400; xid++) client.socket.write(record(xid));
      await eventually('the proxy is full', 60_000, () => proxy.pendingSize >= pendingSizeMax);
      const { localPort } = client.socket;
      client.socket.resetAndDestroy();
      await once(client.socket, 'close');
      const again = connect({ port: proxy.port, host: '127.0.0.1', localAddress, localPort: localPort! });
      cleanUp.push(() => again.destroy());
      await once(again, 'connect');
      await eventually(
        'both are known',
        60_000,
        () => events.filter((e) => e.kind === 'ClientConnected').length === 2,
      );
      const kinds = events.flatMap((each) => (each.kind === 'Upstream' ? [] : [each.kind]));
      expect(kinds).toEqual(['ClientConnected', 'ClientGone', 'ClientConnected']);
      expect(proxy.pendingSize).toBe(0);
    });

    it('is not given up for being full: it goes on when the server does', async () => {
      const { a, proxy, events } = await stage(pendingSizeMax);
      a.onCall = () => {};
      const client = new PlainClient(proxy.port);
      for (let xid = 1; xid <= 100; xid++) client.socket.write(record(xid));
      await eventually('the proxy is full', 60_000, () => proxy.pendingSize >= pendingSizeMax);
      await pause(500, 'longer than it may be full in vain');
      a.onCall = (each) => answer(each);
      for (const each of [...a.calls]) answer(each);
      await eventually('all replies', 60_000, () => client.replies.length === 100);
      expect(events.some((each) => each.kind === 'ClientGone')).toBe(false);
    });

    it('without a word, its machine being gone, is probed for', async () => {
      const { proxy } = await stage();
      const client = new PlainClient(proxy.port);
      await once(client.socket, 'connect');
      const port = (number: number) => number.toString(16).toUpperCase().padStart(4, '0');
      const ours = `0100007F:${port(proxy.port)} 0100007F:${port(client.socket.localPort!)} 01`;
      // Field 6 begins with the timer that runs: 02 is that of keep-alive probes (proc_net_tcp.txt).
      const timer = async () => {
        const row = (await readFile('/proc/net/tcp', 'latin1'))
          .split('\n')
          .find((each) => each.includes(ours));
        return row?.trim().split(/\s+/)[5]?.slice(0, 2);
      };
      await expect.poll(timer).toBe('02');
    });
  });

  describe('a stream cut at every byte', () => {
    it('from the client: calls in two pieces, in one fragment or many, arrive whole', async () => {
      const { a, proxy } = await stage();
      const client = new PlainClient(proxy.port);
      const whole = messageOf(callRecord(7, 'payload of a call'));
      for (const fragmentSize of [Number.POSITIVE_INFINITY, 17, 4, 1]) {
        const stream = Buffer.concat([
          callRecord(7, 'payload of a call', fragmentSize),
          callRecord(8, '', fragmentSize),
        ]);
        for (let cut = 1; cut < stream.length; cut++) {
          const { length } = client.replies;
          client.socket.write(stream.subarray(0, cut));
          // One turn of the loop on both sides of the socket: the pieces must not be joined on the way.
          await new Promise((resolve) => setImmediate(() => setImmediate(resolve)));
          client.socket.write(stream.subarray(cut));
          await eventually(
            `both replies (cut at ${cut})`,
            60_000,
            () => client.replies.length === length + 2,
          );
        }
      }
      for (const each of a.calls.filter((call) => call.xid === 7))
        expect(each.message.equals(whole)).toBe(true);
      expect(client.closed).toBe(false);
    });

    it('from the server: a reply in pieces or lost in the middle reaches the client whole and once', async () => {
      const { a, b, proxy } = await stage();
      const client = new PlainClient(proxy.port);
      const whole = replyRecord(7, Buffer.from('the answer of a'));
      for (let cut = 0; cut <= whole.length; cut++) {
        const { length } = client.replies;
        a.onCall = (each) => {
          a.refuse();
          each.socket.write(whole.subarray(0, cut), () => each.socket.end());
        };
        b.onCall = (each) => answer(each, Buffer.from('the answer of b'));
        client.socket.write(callRecord(7));
        await b.open();
        await eventually(`the reply (cut at ${cut})`, 60_000, () => client.replies.length === length + 1);
        const expected = cut < whole.length ? 'the answer of b' : 'the answer of a';
        // XDR pads to whole words.
        expect(client.replies[length]!.results.slice(0, 15)).toBe(expected);
        await Promise.all([a.shut(), b.shut()]);
        await a.open();
      }
      expect(client.replies.length).toBe(whole.length + 1);
      expect(client.closed).toBe(false);
    });
  });

  describe('a long READ whose server dies while its reply is on the way', () => {
    const { READ } = nfsproc3;
    /** Attributes and data are of these bytes. */
    const readReply = (xid: number, attributes: number, data: number, size: number) => {
      const results = Buffer.alloc(104 + size, data);
      for (const [at, word] of [0, 1].entries()) results.writeUInt32BE(word, at * 4);
      results.fill(attributes, 8, 92);
      for (const [at, word] of [size, 0, size].entries()) results.writeUInt32BE(word, 92 + at * 4);
      return replyRecord(xid, results);
    };
    const size = 1024 * 1024;

    it.each([5, 100, 200, 16 * 1024, 500_000, size])(
      'after %i bytes of it, is answered whole and once',
      async (cut) => {
        const { a, b, proxy } = await stage();
        const client = new PlainClient(proxy.port);
        const whole = readReply(7, 0x61, 0x64, size);
        a.onCall = (each) => {
          if (each.xid !== 7) return;
          a.refuse();
          each.socket.write(whole.subarray(0, cut), () => each.socket.end());
        };
        b.onCall = (each) => {
          if (each.xid === 7) each.socket.write(readReply(7, 0x62, 0x64, size));
          else answer(each);
        };
        client.socket.write(
          Buffer.concat([callRecord(6), callRecord(7, '', undefined, READ), callRecord(8)]),
        );
        await b.open();
        await eventually('all are answered', 60_000, () => client.replies.length === 3);
        expect(client.replies.map(({ xid }) => xid).toSorted()).toEqual([6, 7, 8]);
        const { results } = client.replies.find(({ xid }) => xid === 7)!;
        expect(results.length).toBe(104 + size);
        expect(results.slice(104) === 'd'.repeat(size)).toBe(true);
        expect(client.closed).toBe(false);
      },
    );

    it('is never answered with a part of each when the second reply has another length', async () => {
      const { a, b, proxy } = await stage();
      const client = new PlainClient(proxy.port);
      a.onCall = (each) => {
        a.refuse();
        each.socket.write(readReply(7, 0x61, 0x64, size).subarray(0, 500_000), () => each.socket.end());
      };
      b.onCall = (each) => each.socket.write(readReply(each.xid, 0x62, 0x65, 4096));
      client.socket.write(callRecord(7, '', undefined, READ));
      await b.open();
      await eventually('answered or ended', 60_000, () => client.closed || client.replies.length === 1);
      // Ended, the client sends its calls again; Node's sockets have passed nothing on before.
      expect(client.closed).toBe(rawCalls);
      expect(client.replies.map(({ results }) => results.length)).toEqual(rawCalls ? [] : [104 + 4096]);
    });
  });

  describe('bounded memory', () => {
    it('stops reading calls that nobody answers, and goes on when somebody does', async () => {
      const pendingSizeMax = 1024 * 1024;
      const { a, proxy } = await stage(pendingSizeMax);
      a.onCall = () => {};
      const client = new PlainClient(proxy.port);
      const payload = Buffer.alloc(64 * 1024, 'x');
      const total = 400;
      for (let xid = 1; xid <= total; xid++) client.socket.write(callRecord(xid, payload));
      const recordSize = callRecord(1, payload).length;
      const { calls } = a;
      await eventually('all that fits is forwarded', 60_000, () => {
        const held = proxy.pendingSize + calls.length * CALL_COST;
        return held >= pendingSizeMax && calls.length * recordSize === proxy.pendingSize;
      });
      const { length } = calls;
      await pause(200, 'another call would be forwarded');
      expect(a.calls.length).toBe(length);
      expect(proxy.pendingSize).toBeLessThan(pendingSizeMax + 2 * payload.length);
      expect(client.socket.writableLength).toBeGreaterThan(10 * pendingSizeMax);
      a.onCall = (each) => answer(each);
      for (const each of [...a.calls]) answer(each);
      await eventually('all replies', 60_000, () => client.replies.length === total);
      expect(proxy.pendingSize).toBe(0);
    });

    it('counts what small calls take in memory, not what they have on the wire', async () => {
      const ofOne = 1024 * 1024;
      const { a, proxy } = await stage(ofOne);
      a.onCall = () => {};
      const client = new PlainClient(proxy.port);
      const smallest = callRecord(1).length;
      const batch = (first: number) =>
        Buffer.concat(Array.from({ length: 1000 }, (_, i) => callRecord(first + i)));
      for (let first = 1; first < 40_000; first += 1000) client.socket.write(batch(first));
      await eventually(
        'it has stopped',
        60_000,
        () => proxy.pendingSize / smallest >= ofOne / (CALL_COST + smallest),
      );
      await pause(300, 'more would be taken');
      // What one chunk of the socket holds comes on top.
      expect(proxy.pendingSize / smallest).toBeLessThan(ofOne / CALL_COST + 2 * (65_536 / smallest));
    });

    it('gives each client its part when all together have used what there is', async () => {
      const ofAll = 1024 * 1024;
      const { a, proxy } = await stage(undefined, {}, { memory: { ofOne: ofAll, ofAll } });
      a.onCall = () => {};
      const greedy = new PlainClient(proxy.port);
      const payload = Buffer.alloc(64 * 1024, 'x');
      for (let xid = 1; xid <= 100; xid++) greedy.socket.write(callRecord(xid, payload));
      await eventually('all is used', 60_000, () => proxy.pendingSize >= ofAll - 2 * payload.length);
      const modest = new PlainClient(proxy.port);
      a.onCall = (each) => {
        if (each.xid > 1000) answer(each);
      };
      for (let xid = 1001; xid <= 1010; xid++) modest.socket.write(callRecord(xid, payload));
      await eventually('the other one is served', 60_000, () => modest.replies.length === 10);
      a.onCall = (each) => answer(each);
      for (const each of a.calls.filter((call) => call.xid <= 100)) answer(each);
      await eventually('and the first one in the end', 60_000, () => greedy.replies.length === 100);
    });

    it('lets clients beyond the limit wait, refuses and closes none, and serves them when there is room', async () => {
      const { proxy, events } = await stage(undefined, {}, { connectionsMax: 16 });
      const clients: PlainClient[] = [];
      for (let i = 0; i < 16; i++) {
        const client = new PlainClient(proxy.port);
        await once(client.socket, 'connect');
        clients.push(client);
      }
      await eventually('no more are accepted', 60_000, () => events.some((each) => each.kind === 'Full'));
      for (let i = 0; i < 10; i++) {
        const late = new PlainClient(proxy.port);
        clients.push(late);
        await once(late.socket, 'connect');
        late.socket.write(callRecord(7));
      }
      await pause(300, 'those that wait would be accepted, or closed');
      expect(clients.filter((each) => each.closed)).toEqual([]);
      expect(accepted()).toBe(16);
      for (const each of clients.slice(0, 16)) each.socket.destroy();
      // Reset, for which an NFS client connects again at once; or accepted.
      await eventually('those that waited are let go', 60_000, () =>
        clients.slice(16).every((each) => each.closed || each.replies.length === 1),
      );
      const again = new PlainClient(proxy.port);
      again.socket.write(callRecord(8));
      await eventually('it is served', 60_000, () => again.replies.length === 1);

      function accepted(): number {
        return events.filter((each) => each.kind === 'ClientConnected').length;
      }
    });

    it('stops reading replies that the client does not take, and does not blame the server', async () => {
      const { a, proxy, events } = await stage();
      const results = Buffer.alloc(1024 * 1024, 'y');
      a.onCall = (each) => answer(each, results);
      const client = new PlainClient(proxy.port);
      client.socket.pause();
      const total = 64;
      for (let xid = 1; xid <= total; xid++) client.socket.write(callRecord(xid));
      // The proxy has another connection, by which it learns where to connect.
      const unsent = () => Math.max(0, ...a.accepted.map((each) => each.writableLength));
      await eventually('the server cannot send more', 60_000, () => unsent() > 16 * results.length);
      await pause(300, 'a silent server would be doubted');
      expect(unsent()).toBeGreaterThan(16 * results.length);
      const upstream = events.flatMap((each) => (each.kind === 'Upstream' ? [each.event.kind] : []));
      expect(upstream.filter((kind) => kind === 'Adopted' || kind === 'Lost')).toEqual(['Adopted']);
      expect(upstream.slice(-1)).not.toEqual(['Doubted']);
      client.socket.resume();
      await eventually('all replies', 60_000, () => client.replies.length === total);
    });
  });

  describe('bad clients', () => {
    const bad: [string, Buffer][] = [
      ['a message of four bytes', Buffer.from([0x80, 0, 0, 4, 1, 2, 3, 4])],
      ['a reply instead of a call', replyRecord(7)],
      ['a message that is cut off behind its XID', Buffer.from([0x80, 0, 0, 8, 0, 0, 0, 7, 0, 0, 0, 0])],
      ['a record that no server takes', callRecord(7, Buffer.alloc(2 * 1024 * 1024))],
      [
        'another call with the XID of one that is unanswered',
        Buffer.concat([callRecord(9), callRecord(9, 'x')]),
      ],
      ['a record longer than any call', Buffer.from([0xff, 0xff, 0xff, 0xff, 1, 2, 3, 4])],
      ['fragments without end and without content', Buffer.alloc(4 * 10_000)],
      ['another protocol', Buffer.from('GET / HTTP/1.1\r\nHost: filer-a\r\n\r\n')],
    ];
    for (const [what, bytes] of bad) {
      it(`that send ${what} lose their connection; their neighbours notice nothing`, async () => {
        const { a, proxy, events } = await stage();
        const neighbour = new PlainClient(proxy.port);
        const client = new PlainClient(proxy.port);
        await once(client.socket, 'connect');
        const address = `127.0.0.1:${client.socket.localPort}`;
        client.socket.write(bytes);
        await eventually('the bad client is out', 60_000, () => client.closed);
        neighbour.socket.write(callRecord(7));
        await eventually('the neighbour is served', 60_000, () => neighbour.replies.length === 1);
        expect(a.calls.map((each) => each.xid).filter((xid) => xid !== 9)).toEqual([7]);
        // By address: tests that run beside this one dial ports that were free a moment ago.
        expect(events.filter((each) => each.kind === 'ClientGone' && each.client === address).length).toBe(1);
        expect(neighbour.closed).toBe(false);
      });
    }
  });
});
