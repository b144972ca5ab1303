import { afterEach, describe, expect, it } from 'vitest';
import { MOUNT_PROGRAM } from '../protocol/mount.ts';
import { NFS_PROGRAM, NFS_V3, NFS3ERR_STALE, nfsproc3 } from '../protocol/nfs3.ts';
import { beginRecord, endRecord } from '../protocol/record.ts';
import { AUTH_NONE_CREDENTIAL, encodeCallHeader } from '../protocol/rpc.ts';
import { CLIENT_SIZE, IDENTITY_SIZE, successionproc1 } from '../protocol/succession.ts';
import { XdrWriter } from '../protocol/xdr.ts';
import { eventually } from '../testing/eventually.ts';
import { pause } from '../testing/pause.ts';
import type { AttemptsOptions } from './attempts-state.ts';
import type { ConnectionEvent } from './connection-event.ts';
import { DiskSetIdentity } from './disk-set-identity.ts';
import { FailoverConnection } from './failover-connection.ts';
import { Resolver } from './resolver.ts';
import { answer, replyRecord, type ScriptedCall, ScriptedServer } from './scripted-server.fixture.ts';
import { tcpAddress } from './transport-address.ts';

const cleanUp: (() => unknown)[] = [];
afterEach(async () => {
  for (const each of cleanUp.splice(0).reverse()) await each();
});

async function server(state: 'open' | 'closed', host?: string, port?: number): Promise<ScriptedServer> {
  const created = await ScriptedServer.create(state, host, port);
  cleanUp.push(() => created.shut());
  return created;
}

interface Client {
  readonly connection: FailoverConnection;
  readonly identity: DiskSetIdentity;
  /** XID and results of every reply, in order. */
  readonly replies: { xid: number; results: string }[];
  /** XIDs of calls that are not sent any more. */
  readonly refused: number[];
  readonly events: ConnectionEvent[];
  readonly listener: { current: ((event: ConnectionEvent) => void) | null };
}

function client(
  primary: ScriptedServer,
  secondary: ScriptedServer | null,
  attempts: Partial<AttemptsOptions> = {},
  resolver = new Resolver(),
  host = '127.0.0.1',
  stuckMs?: number,
): Client {
  const replies: Client['replies'] = [];
  const refused: number[] = [];
  const listener: Client['listener'] = { current: null };
  const events: ConnectionEvent[] = [];
  const identity = new DiskSetIdentity();
  const connection = new FailoverConnection({
    endpoints: {
      primary: tcpAddress(host, primary.port),
      secondary: secondary && tcpAddress('127.0.0.1', secondary.port),
    },
    resolver,
    identity,
    program: NFS_PROGRAM,
    version: NFS_V3,
    attempts,
    stuckMs,
    onReply: (xid, reply) =>
      replies.push({
        xid,
        results: Buffer.from(reply.bytes.subarray(reply.position + 24, reply.end)).toString(),
      }),
    onRefused: (xid) => refused.push(xid),
    onEvent: (event) => {
      events.push(event);
      listener.current?.(event);
    },
  });
  cleanUp.push(() => connection.close());
  connection.start();
  return { connection, identity, replies, refused, events, listener };
}

function call(xid: number, payload = ''): Uint8Array {
  const w = new XdrWriter();
  const mark = beginRecord(w);
  encodeCallHeader(w, xid, MOUNT_PROGRAM, 3, 1, AUTH_NONE_CREDENTIAL);
  w.opaque(Buffer.from(payload));
  endRecord(w, mark);
  return w.written();
}

/** PROG_UNAVAIL. */
function refusal(xid: number): Uint8Array {
  const w = new XdrWriter();
  const mark = beginRecord(w);
  for (const word of [xid, 1, 0, 0, 0, 1]) w.u32(word);
  endRecord(w, mark);
  return w.written();
}

const silence = (_call: ScriptedCall) => {};

describe('failover', () => {
  it('resends unanswered calls with the same bytes, in order, and answered ones never', async () => {
    const a = await server('open');
    const b = await server('closed');
    const { connection, replies, events } = client(a, b);
    a.onCall = (each) => (each.xid % 2 === 0 ? answer(each, Buffer.from('from')) : undefined);
    for (let xid = 1; xid <= 10; xid++) connection.send(xid, call(xid, `call ${xid}`));
    await eventually('the even calls are answered', 60_000, () => replies.length === 5);
    await a.shut();
    await b.open();
    await eventually('the odd calls are answered', 60_000, () => replies.length === 10);
    expect(b.calls.map((each) => each.xid)).toEqual([1, 3, 5, 7, 9]);
    for (const each of b.calls) {
      const first = a.calls.find((other) => other.xid === each.xid)!;
      expect(each.message.equals(first.message)).toBe(true);
    }
    expect(replies.map((each) => each.xid)).toEqual([2, 4, 6, 8, 10, 1, 3, 5, 7, 9]);
    expect(events.map((each) => each.kind)).toEqual(['Adopted', 'Lost', 'Adopted']);
    expect(events[2]).toMatchObject({ port: 'secondary', resent: 5 });
  });

  it('follows a takeover and a giveback and a takeover again', async () => {
    const a = await server('open');
    const b = await server('closed');
    const { connection, replies } = client(a, b);
    for (let round = 0; round < 6; round++) {
      connection.send(round, call(round));
      await eventually(`round ${round} is answered`, 60_000, () => replies.length === round + 1);
      const [from, to] = round % 2 === 0 ? [a, b] : [b, a];
      expect(connection.port).toBe(round % 2 === 0 ? 'primary' : 'secondary');
      await from.shut();
      await to.open();
    }
  });

  it('says on each connection that it adopts who it is, before it sends a call, and on no other', async () => {
    const a = await server('open');
    const b = await server('closed');
    const { connection, replies } = client(a, b);
    const said: string[] = [];
    for (const each of [a, b]) {
      const name = each === a ? 'a' : 'b';
      each.onAnnouncement = (call) => {
        const { ANNOUNCE } = successionproc1;
        const size = call.procedure === ANNOUNCE ? CLIENT_SIZE : IDENTITY_SIZE;
        said.push(`${name} ${call.message.subarray(-size).toString('hex')}`);
        // As a server that does not know it.
        call.socket.write(replyRecord(call.xid));
      };
      each.onCall = (call) => {
        said.push(`${name} call`);
        answer(call);
      };
    }
    connection.send(1, call(1));
    await eventually('the first call is answered', 60_000, () => replies.length === 1);
    await a.shut();
    await b.open();
    connection.send(2, call(2));
    await eventually('the second call is answered', 60_000, () => replies.length === 2);
    const [place, who] = said.map((line) => line.slice(2));
    expect(place).toMatch(/^[0-9a-f]{16}$/);
    expect(who).toMatch(/^[0-9a-f]{32}$/);
    expect(said).toEqual([`a ${place}`, `a ${who}`, 'a call', `b ${place}`, `b ${who}`, 'b call']);
  });

  it('says what it waits for when an outage is longer than a failover, once', async () => {
    const { events } = client(await server('closed'), await server('closed'));
    const waiting = () => events.filter((each) => each.kind === 'Waiting');
    await eventually('it says so', 60_000, () => waiting().length > 0);
    expect(waiting()[0]!.why).toMatch(
      /^127\.0\.0\.1:\d+ refused the connection; 127\.0\.0\.1:\d+ refused the connection$/,
    );
    expect(waiting()[0]!.afterMs).toBeGreaterThanOrEqual(2000);
    const { length } = events;
    await eventually('more attempts', 60_000, () => performance.now() - waiting()[0]!.atMs > 1000);
    expect(events.length).toBe(length);
  });

  it('finds the partner while the old connection is still open and silent', async () => {
    const a = await server('open');
    const b = await server('closed');
    const { connection, replies, events } = client(a, b);
    await eventually('connected', 60_000, () => connection.port === 'primary');
    a.onCall = silence;
    a.onNull = silence;
    connection.send(7, call(7));
    await eventually('the doubt', 60_000, () => events.some((each) => each.kind === 'Doubted'));
    await b.open();
    await eventually('the reply', 60_000, () => replies.length === 1);
    expect(connection.port).toBe('secondary');
    // Whatever the old server says now is too late: its connections are gone.
    await eventually('the old connections are reset', 60_000, () => a.connections === 0);
    expect(b.calls.map((each) => each.xid)).toEqual([7]);
  });

  it('ignores the reply of a connection that was abandoned', async () => {
    const a = await server('open');
    const b = await server('open');
    b.onNull = silence;
    const { connection, replies } = client(a, b);
    await eventually('connected', 60_000, () => connection.port === 'primary');
    a.onCall = silence;
    a.onNull = silence;
    connection.send(7, call(7));
    await eventually('the call is there', 60_000, () => a.calls.length === 1);
    b.onNull = (each) => {
      // In the same moment both answer: NULL there, the call here.
      answer(each);
      answer(a.calls[0]!, Buffer.from('late'));
    };
    b.onCall = (each) => answer(each, Buffer.from('good'));
    await eventually('the reply', 60_000, () => replies.length > 0);
    await eventually('settled', 60_000, () => connection.pendingCount === 0);
    expect(replies.length).toBe(1);
  });
});

describe('a slow server', () => {
  it('keeps its connection as long as it answers our NULL, and the call goes out once', async () => {
    const a = await server('open');
    const b = await server('closed');
    const { connection, replies, events } = client(a, b);
    await eventually('connected', 60_000, () => connection.port === 'primary');
    a.onCall = silence;
    connection.send(7, call(7));
    await eventually(
      'three doubts',
      60_000,
      () => events.filter((each) => each.kind === 'Reassured').length === 3,
    );
    answer(a.calls[0]!);
    await eventually('the reply', 60_000, () => replies.length === 1);
    expect(a.calls.length).toBe(1);
    expect(events.filter((each) => each.kind === 'Adopted').length).toBe(1);
  });

  it('gets a new connection when the old one stays silent while the port answers', async () => {
    const a = await server('open');
    const { connection, replies, events } = client(a, null, { samePortPatienceMs: 100 });
    await eventually('connected', 60_000, () => connection.port === 'primary');
    // From now on this first connection is a black hole.
    a.onBytes = (socket) => socket === a.accepted[0];
    connection.send(7, call(7));
    await eventually('the reply', 60_000, () => replies.length === 1);
    expect(events.filter((each) => each.kind === 'Adopted').length).toBe(2);
  });

  it('that has lost a call, though it answers others, gets it again on a new connection', async () => {
    const a = await server('open');
    const { connection, replies } = client(a, null, {}, new Resolver(), '127.0.0.1', 300);
    a.onCall = (each) => {
      // Only the first of all is lost.
      if (each !== a.calls[0]) answer(each);
    };
    connection.send(7, call(7));
    connection.send(8, call(8));
    await eventually('both replies', 60_000, () => replies.length === 2);
    expect(a.calls.map((each) => each.xid)).toEqual([7, 8, 7]);
    expect(replies.map((each) => each.xid)).toEqual([8, 7]);
  });

  it('starts no doubt while we ourselves do not read', async () => {
    const a = await server('open');
    const { connection, replies, events } = client(a, null);
    await eventually('connected', 60_000, () => connection.port === 'primary');
    connection.pause();
    connection.send(7, call(7));
    await eventually('the call is there', 60_000, () => a.calls.length === 1);
    await pause(200, 'longer than the patience: a doubt would have begun');
    expect(events.map((each) => each.kind)).toEqual(['Adopted']);
    connection.resume();
    await eventually('the reply', 60_000, () => replies.length === 1);
  });
});

/** An NFS call that FilerPair's identity can be learnt from: COMMIT has no optional parts before its status. */
function nfsCall(xid: number, handle: string): Uint8Array {
  const w = new XdrWriter();
  const mark = beginRecord(w);
  encodeCallHeader(w, xid, NFS_PROGRAM, NFS_V3, nfsproc3.COMMIT, AUTH_NONE_CREDENTIAL);
  w.opaque(Buffer.from(handle));
  w.u64(0);
  w.u32(0);
  endRecord(w, mark);
  return w.written();
}

const OK = Buffer.alloc(4);
const STALE = Buffer.from([0, 0, 0, NFS3ERR_STALE]);

/** Serves one disk set, whose only file handle is `handle`; every other is stale. */
function holding(each: ScriptedServer, handle: string): void {
  const results = (call: ScriptedCall) => (call.message.includes(handle) ? OK : STALE);
  each.onCall = (call) => answer(call, results(call));
  each.onHolds = (call) => answer(call, results(call));
}

describe('a server of other disks', () => {
  it('is not adopted, however fast it answers, and no status of it reaches a caller', async () => {
    const a = await server('open');
    const b = await server('open');
    const stranger = await server('open');
    holding(a, 'ours');
    holding(stranger, 'theirs');
    const { connection, replies, events } = client(a, stranger, { patienceMs: 20 });
    connection.send(1, nfsCall(1, 'ours'));
    await eventually('the first reply', 60_000, () => replies.length === 1);
    expect(connection.port).toBe('primary');
    // The right server is slow for a while.
    const { onNull } = a;
    a.onCall = silence;
    a.onNull = silence;
    connection.send(2, nfsCall(2, 'ours'));
    await eventually('the stranger was asked', 60_000, () =>
      /serves the disks/.test(connection.describeFailure()),
    );
    await eventually('and again', 60_000, () => stranger.accepted.length > 3);
    expect(connection.port).toBe('primary');
    holding(a, 'ours');
    a.onNull = onNull;
    answer(a.calls.at(-1)!, OK);
    await eventually('the second reply', 60_000, () => replies.length === 2);
    expect(stranger.calls).toEqual([]);
    expect(events.filter((each) => each.kind === 'Adopted').length).toBe(1);
    expect(b.calls).toEqual([]);
  });

  it('beside the right one under the same name is that address’s failure', async () => {
    const a = await server('open');
    const stranger = await server('open', '127.0.0.2', a.port);
    holding(a, 'ours');
    holding(stranger, 'theirs');
    const resolver = new Resolver(async () => ['127.0.0.1', '127.0.0.2']);
    const { connection, replies } = client(a, null, {}, resolver, 'filer-a');
    for (let xid = 1; xid <= 20; xid++) {
      connection.send(xid, nfsCall(xid, 'ours'));
      await eventually('the reply', 60_000, () => replies.length === xid);
      for (const socket of a.accepted) socket.resetAndDestroy();
    }
    expect(stranger.calls).toEqual([]);
    expect(stranger.accepted.length).toBeGreaterThan(0);
  });

  it('that knows nothing of FilerPair is asked for the export’s attributes', async () => {
    const a = await server('open');
    const stranger = await server('closed');
    const unavailable = (each: ScriptedCall) => each.socket.write(refusal(each.xid));
    for (const [each, handle] of [
      [a, 'ours'],
      [stranger, 'theirs'],
    ] as const) {
      holding(each, handle);
      each.onHolds = unavailable;
    }
    const { connection, replies, identity } = client(a, stranger);
    identity.mounted(Buffer.from('ours'), AUTH_NONE_CREDENTIAL);
    connection.send(1, nfsCall(1, 'ours'));
    await eventually('the first reply', 60_000, () => replies.length === 1);
    await a.shut();
    await stranger.open();
    connection.send(2, nfsCall(2, 'ours'));
    await eventually('the stranger was asked', 60_000, () => stranger.calls.length > 1);
    expect(new Set(stranger.calls.map((each) => each.procedure))).toEqual(new Set([nfsproc3.GETATTR]));
    expect(replies.length).toBe(1);
    await a.open();
    await eventually('the second reply', 60_000, () => replies.length === 2);
  });
});

describe('bad servers', () => {
  it('that answer NULL with a refusal or with garbage are not adopted', async () => {
    const a = await server('open');
    const b = await server('open');
    a.onNull = (each) => each.socket.write(refusal(each.xid));
    b.onNull = (each) => each.socket.write('HTTP/1.1 400 Bad Request\r\n\r\n');
    const { connection, events } = client(a, b);
    await eventually('both were tried twice', 60_000, () => a.accepted.length > 2 && b.accepted.length > 2);
    expect(events).toEqual([]);
    expect(connection.describeFailure()).toMatch(/answers NULL with error; .*no valid RPC/);
  });

  it('that hang up on a call are dialled with growing pauses, not in a loop', async () => {
    const a = await server('open');
    a.onCall = (each) => each.socket.resetAndDestroy();
    const { connection } = client(a, null);
    connection.send(1, call(1));
    await pause(1000, 'as long as it dials');
    expect(a.calls.length).toBeGreaterThan(2);
    expect(a.calls.length).toBeLessThan(12);
  });
});

describe('a call that the server answers by closing', () => {
  it('is not sent forever, and the others are answered', async () => {
    const a = await server('open');
    const { connection, replies, refused } = client(a, null);
    await eventually('connected', 60_000, () => connection.port === 'primary');
    a.onCall = (each) => {
      if (each.xid === 3) each.socket.end();
      else answer(each);
    };
    for (let xid = 1; xid <= 5; xid++) connection.send(xid, call(xid));
    await eventually('the others are answered', 60_000, () => replies.length === 4);
    expect(refused).toEqual([3]);
    expect(replies.map((each) => each.xid).sort()).toEqual([1, 2, 4, 5]);
    const { length } = a.calls;
    // A later call goes behind what is sent again.
    connection.send(6, call(6));
    await eventually('a later call is answered', 60_000, () => replies.length === 5);
    expect(a.calls.length).toBe(length + 1);
    expect(connection.pendingCount).toBe(0);
  });

  it('is none when the server goes away and another one takes over', async () => {
    const a = await server('open');
    const b = await server('closed');
    const { connection, replies, refused } = client(a, b);
    await eventually('connected', 60_000, () => connection.port === 'primary');
    a.onCall = (each) => each.socket.resetAndDestroy();
    connection.send(1, call(1));
    await eventually('two connections have ended', 60_000, () => a.calls.length >= 2);
    await a.shut();
    await b.open();
    await eventually('the reply', 60_000, () => replies.length === 1);
    expect(refused).toEqual([]);
  });
});

describe('what is sent again to a server that stood still', () => {
  it('is one call at first, and more with each answer', async () => {
    const a = await server('open');
    const { connection, replies } = client(a, null, { samePortPatienceMs: 100 });
    await eventually('connected', 60_000, () => connection.port === 'primary');
    // From now on this first connection is a black hole.
    a.onBytes = (socket) => socket === a.accepted[0];
    a.onCall = silence;
    const seen = () => a.calls.map((each) => each.xid);
    for (let xid = 1; xid <= 40; xid++) connection.send(xid, call(xid, 'x'.repeat(8000)));
    await eventually('the first of them', 60_000, () => a.calls.length === 1);
    await pause(50, 'what goes behind the first call would have come');
    expect(seen()).toEqual([1]);
    // A call that comes now does not overtake those that wait.
    connection.send(41, call(41));
    let most = 0;
    for (let at = 0; at < 41; at++) {
      await eventually(`call ${at + 1}`, 60_000, () => a.calls.length > at);
      most = Math.max(most, a.calls.length - at);
      answer(a.calls[at]!);
    }
    await eventually('all replies', 60_000, () => replies.length === 41);
    expect(seen()).toEqual([...Array(41).keys()].map((i) => i + 1));
    // Half of what had been too much: 40 calls of 8 KiB.
    expect(most).toBeGreaterThan(2);
    expect(most).toBeLessThanOrEqual(20);
  });
});

describe('a listener that throws', () => {
  it('stops nothing', async () => {
    const a = await server('open');
    const b = await server('closed');
    const thrown: unknown[] = [];
    const before = process.listeners('uncaughtException');
    process.removeAllListeners('uncaughtException');
    process.on('uncaughtException', (error) => thrown.push(error));
    cleanUp.push(() => {
      process.removeAllListeners('uncaughtException');
      for (const each of before) process.on('uncaughtException', each);
    });
    const { connection, replies, listener } = client(a, b);
    listener.current = () => {
      throw new Error('the listener failed');
    };
    await eventually('connected', 60_000, () => connection.port === 'primary');
    a.onCall = silence;
    connection.send(1, call(1));
    await eventually('the call is there', 60_000, () => a.calls.length === 1);
    await a.shut();
    await b.open();
    await eventually('the reply', 60_000, () => replies.length === 1);
    expect(thrown.length).toBeGreaterThan(1);
  });
});

describe('XID of our own NULL', () => {
  it('that a caller happens to use makes a new connection, and the caller gets its own reply', async () => {
    const a = await server('open');
    const { connection, replies } = client(a, null);
    await eventually('connected', 60_000, () => connection.port === 'primary');
    a.onCall = silence;
    let asked: number | null = null;
    a.onNull = (each) => {
      if (each.socket === a.accepted[0]) asked = each.xid;
      else answer(each);
    };
    connection.send(7, call(7));
    await eventually('our NULL', 60_000, () => asked !== null);
    a.onCall = (each) => answer(each, Buffer.from(`to ${each.xid}`.padEnd(16)));
    connection.send(asked!, call(asked!));
    await eventually('both replies', 60_000, () => replies.length === 2);
    expect(replies.map((each) => [each.xid, each.results.trim()])).toEqual([
      [7, 'to 7'],
      [asked, `to ${asked}`],
    ]);
  });
});

describe('a reply cut short at every byte', () => {
  it('is never delivered in part, and the call is answered whole by the partner', async () => {
    const a = await server('open');
    const b = await server('closed');
    const whole = replyRecord(7, Buffer.from('the whole answer'));
    for (let cut = 0; cut <= whole.length; cut++) {
      const { connection, replies } = client(a, b, { intervalMs: 2, intervalMsMax: 2 });
      await eventually('connected', 60_000, () => connection.port === 'primary');
      a.onCall = (each) => {
        a.refuse();
        each.socket.write(whole.subarray(0, cut), () => each.socket.end());
      };
      b.onCall = (each) => answer(each, Buffer.from('from the partner'));
      connection.send(7, call(7));
      await b.open();
      await eventually(`the search is over (cut at ${cut})`, 60_000, () => connection.port === 'secondary');
      await eventually(`the reply (cut at ${cut})`, 60_000, () => replies.length > 0);
      expect(replies).toEqual([
        { xid: 7, results: cut < whole.length ? 'from the partner' : 'the whole answer' },
      ]);
      expect(connection.pendingCount).toBe(0);
      connection.close();
      await Promise.all([a.shut(), b.shut()]);
      await a.open();
    }
    expect(b.calls.length).toBe(whole.length);
  });
});

describe('names', () => {
  it('are looked up again, and the last good address is used while DNS fails', async () => {
    const a = await server('open');
    let answers: string[] | Error = ['127.0.0.1'];
    let lookups = 0;
    let now = 0;
    const resolver = new Resolver(
      async () => {
        lookups += 1;
        if (answers instanceof Error) throw answers;
        return answers;
      },
      () => now,
    );
    const { connection, replies } = client(a, null, {}, resolver, 'filer-a');
    await eventually('connected', 60_000, () => connection.port === 'primary');
    answers = new Error('SERVFAIL');
    now = 10_000;
    await a.shut();
    await a.open();
    connection.send(1, call(1));
    await eventually('the reply', 60_000, () => replies.length === 1);
    expect(lookups).toBeGreaterThan(1);
  });

  it('with several addresses are tried at all of them', async () => {
    const a = await server('open');
    const resolver = new Resolver(async () => ['127.0.0.99', '127.0.0.1']);
    const { connection } = client(a, null, {}, resolver, 'filer-a');
    await eventually('connected', 60_000, () => connection.port === 'primary');
  });

  it('that do not resolve are said to', async () => {
    const a = await server('open');
    const missing = Object.assign(new Error('nope'), { code: 'ENOTFOUND' });
    const resolver = new Resolver(async () => {
      throw missing;
    });
    const { connection } = client(a, null, {}, resolver, 'filer-a');
    await eventually('a failure', 60_000, () => /does not resolve/.test(connection.describeFailure()));
  });
});
