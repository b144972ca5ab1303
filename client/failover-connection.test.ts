import { afterEach, describe, expect, it } from 'vitest';
import { MOUNT_PROGRAM } from '../protocol/mount.ts';
import { NFS_PROGRAM, NFS_V3 } from '../protocol/nfs3.ts';
import { beginRecord, endRecord } from '../protocol/record.ts';
import { AUTH_NONE_CREDENTIAL, encodeCallHeader } from '../protocol/rpc.ts';
import { XdrWriter } from '../protocol/xdr.ts';
import type { AttemptsOptions } from './attempts.ts';
import { type ConnectionEvent, FailoverConnection } from './failover-connection.ts';
import { Resolver } from './resolver.ts';
import { answer, replyRecord, type ScriptedCall, ScriptedServer, until } from './scripted-server.fixture.ts';
import { tcpAddress } from './transport-address.ts';

const cleanUp: (() => unknown)[] = [];
afterEach(async () => {
  for (const each of cleanUp.splice(0).reverse()) await each();
});

async function server(state: 'open' | 'closed'): Promise<ScriptedServer> {
  const created = await ScriptedServer.create(state);
  cleanUp.push(() => created.shut());
  return created;
}

interface Client {
  readonly connection: FailoverConnection;
  /** XID and results of every reply, in order. */
  readonly replies: { xid: number; results: string }[];
  readonly events: ConnectionEvent[];
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
  const events: ConnectionEvent[] = [];
  const connection = new FailoverConnection({
    endpoints: {
      primary: tcpAddress(host, primary.port),
      secondary: secondary && tcpAddress('127.0.0.1', secondary.port),
    },
    resolver,
    program: NFS_PROGRAM,
    version: NFS_V3,
    attempts,
    stuckMs,
    onReply: (xid, reply) =>
      replies.push({
        xid,
        results: Buffer.from(reply.bytes.subarray(reply.position + 24, reply.end)).toString(),
      }),
    onEvent: (event) => events.push(event),
  });
  cleanUp.push(() => connection.close());
  connection.start();
  return { connection, replies, events };
}

function call(xid: number, payload = ''): Uint8Array {
  const w = new XdrWriter();
  const mark = beginRecord(w);
  encodeCallHeader(w, xid, MOUNT_PROGRAM, 3, 1, AUTH_NONE_CREDENTIAL);
  w.opaque(Buffer.from(payload));
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
    await until('the even calls are answered', () => replies.length === 5);
    await a.shut();
    await b.open();
    await until('the odd calls are answered', () => replies.length === 10);
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
      await until(`round ${round} is answered`, () => replies.length === round + 1);
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
        said.push(`${name} ${call.message.subarray(-8).toString('hex')}`);
        // As a server that does not know it.
        call.socket.write(replyRecord(call.xid));
      };
      each.onCall = (call) => {
        said.push(`${name} call`);
        answer(call);
      };
    }
    connection.send(1, call(1));
    await until('the first call is answered', () => replies.length === 1);
    await a.shut();
    await b.open();
    connection.send(2, call(2));
    await until('the second call is answered', () => replies.length === 2);
    const who = said[0]!.slice(2);
    expect(who).toMatch(/^[0-9a-f]{16}$/);
    expect(said).toEqual([`a ${who}`, 'a call', `b ${who}`, 'b call']);
  });

  it('says what it waits for when an outage is longer than a failover, once', async () => {
    const { events } = client(await server('closed'), await server('closed'));
    const waiting = () => events.filter((each) => each.kind === 'Waiting');
    await until('it says so', () => waiting().length > 0);
    expect(waiting()[0]!.why).toMatch(
      /^127\.0\.0\.1:\d+ refused the connection; 127\.0\.0\.1:\d+ refused the connection$/,
    );
    expect(waiting()[0]!.afterMs).toBeGreaterThanOrEqual(3000);
    const { length } = events;
    await until('more attempts', () => performance.now() - waiting()[0]!.atMs > 1000);
    expect(events.length).toBe(length);
  });

  it('finds the partner while the old connection is still open and silent', async () => {
    const a = await server('open');
    const b = await server('closed');
    const { connection, replies, events } = client(a, b);
    await until('connected', () => connection.port === 'primary');
    a.onCall = silence;
    a.onNull = silence;
    connection.send(7, call(7));
    await until('the doubt', () => events.some((each) => each.kind === 'Doubted'));
    await b.open();
    await until('the reply', () => replies.length === 1);
    expect(connection.port).toBe('secondary');
    // Whatever the old server says now is too late: its connections are gone.
    await until('the old connections are reset', () => a.connections === 0);
    expect(b.calls.map((each) => each.xid)).toEqual([7]);
  });

  it('ignores the reply of a connection that was abandoned', async () => {
    const a = await server('open');
    const b = await server('open');
    b.onNull = silence;
    const { connection, replies } = client(a, b);
    await until('connected', () => connection.port === 'primary');
    a.onCall = silence;
    a.onNull = silence;
    connection.send(7, call(7));
    await until('the call is there', () => a.calls.length === 1);
    b.onNull = (each) => {
      // In the same moment both answer: NULL there, the call here.
      answer(each);
      answer(a.calls[0]!, Buffer.from('late'));
    };
    b.onCall = (each) => answer(each, Buffer.from('good'));
    await until('the reply', () => replies.length > 0);
    await until('settled', () => connection.pendingCount === 0);
    expect(replies.length).toBe(1);
  });
});

describe('a slow server', () => {
  it('keeps its connection as long as it answers our NULL, and the call goes out once', async () => {
    const a = await server('open');
    const b = await server('closed');
    const { connection, replies, events } = client(a, b);
    await until('connected', () => connection.port === 'primary');
    a.onCall = silence;
    connection.send(7, call(7));
    await until('three doubts', () => events.filter((each) => each.kind === 'Reassured').length === 3);
    answer(a.calls[0]!);
    await until('the reply', () => replies.length === 1);
    expect(a.calls.length).toBe(1);
    expect(events.filter((each) => each.kind === 'Adopted').length).toBe(1);
  });

  it('gets a new connection when the old one stays silent while the port answers', async () => {
    const a = await server('open');
    const { connection, replies, events } = client(a, null, { samePortPatienceMs: 100 });
    await until('connected', () => connection.port === 'primary');
    // From now on this first connection is a black hole.
    a.onBytes = (socket) => socket === a.accepted[0];
    connection.send(7, call(7));
    await until('the reply', () => replies.length === 1);
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
    await until('both replies', () => replies.length === 2);
    expect(a.calls.map((each) => each.xid)).toEqual([7, 8, 7]);
    expect(replies.map((each) => each.xid)).toEqual([8, 7]);
  });

  it('starts no doubt while we ourselves do not read', async () => {
    const a = await server('open');
    const { connection, replies, events } = client(a, null);
    await until('connected', () => connection.port === 'primary');
    connection.pause();
    connection.send(7, call(7));
    await until('the call is there', () => a.calls.length === 1);
    await new Promise((resolve) => setTimeout(resolve, 200));
    expect(events.map((each) => each.kind)).toEqual(['Adopted']);
    connection.resume();
    await until('the reply', () => replies.length === 1);
  });
});

describe('bad servers', () => {
  it('that answer NULL with a refusal or with garbage are not adopted', async () => {
    const a = await server('open');
    const b = await server('open');
    const refusal = (xid: number) => {
      const w = new XdrWriter();
      const mark = beginRecord(w);
      for (const word of [xid, 1, 0, 0, 0, 1]) w.u32(word);
      endRecord(w, mark);
      return w.written();
    };
    a.onNull = (each) => each.socket.write(refusal(each.xid));
    b.onNull = (each) => each.socket.write('HTTP/1.1 400 Bad Request\r\n\r\n');
    const { connection, events } = client(a, b);
    await until('both were tried twice', () => a.accepted.length > 2 && b.accepted.length > 2);
    expect(events).toEqual([]);
    expect(connection.describeFailure()).toMatch(/answers NULL with error; .*no RPC/);
  });

  it('that hang up on a call are dialled with growing pauses, not in a loop', async () => {
    const a = await server('open');
    a.onCall = (each) => each.socket.resetAndDestroy();
    const { connection } = client(a, null);
    connection.send(1, call(1));
    await new Promise((resolve) => setTimeout(resolve, 1000));
    expect(a.calls.length).toBeGreaterThan(2);
    expect(a.calls.length).toBeLessThan(12);
  });
});

describe('XID of our own NULL', () => {
  it('that a caller happens to use makes a new connection, and the caller gets its own reply', async () => {
    const a = await server('open');
    const { connection, replies } = client(a, null);
    await until('connected', () => connection.port === 'primary');
    a.onCall = silence;
    let asked: number | null = null;
    a.onNull = (each) => {
      if (each.socket === a.accepted[0]) asked = each.xid;
      else answer(each);
    };
    connection.send(7, call(7));
    await until('our NULL', () => asked !== null);
    a.onCall = (each) => answer(each, Buffer.from(`to ${each.xid}`.padEnd(16)));
    connection.send(asked!, call(asked!));
    await until('both replies', () => replies.length === 2);
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
      await until('connected', () => connection.port === 'primary');
      a.onCall = (each) => {
        a.refuse();
        each.socket.write(whole.subarray(0, cut), () => each.socket.end());
      };
      b.onCall = (each) => answer(each, Buffer.from('from the partner'));
      connection.send(7, call(7));
      await b.open();
      await until(`the search is over (cut at ${cut})`, () => connection.port === 'secondary');
      await until(`the reply (cut at ${cut})`, () => replies.length > 0);
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
    await until('connected', () => connection.port === 'primary');
    answers = new Error('SERVFAIL');
    now = 10_000;
    await a.shut();
    await a.open();
    connection.send(1, call(1));
    await until('the reply', () => replies.length === 1);
    expect(lookups).toBeGreaterThan(1);
  });

  it('with several addresses are tried at all of them', async () => {
    const a = await server('open');
    const resolver = new Resolver(async () => ['127.0.0.99', '127.0.0.1']);
    const { connection } = client(a, null, {}, resolver, 'filer-a');
    await until('connected', () => connection.port === 'primary');
  });

  it('that do not resolve are said to', async () => {
    const a = await server('open');
    const missing = Object.assign(new Error('nope'), { code: 'ENOTFOUND' });
    const resolver = new Resolver(async () => {
      throw missing;
    });
    const { connection } = client(a, null, {}, resolver, 'filer-a');
    await until('a failure', () => /does not resolve/.test(connection.describeFailure()));
  });
});
