import { expect, test } from 'vitest';
import { AUTH_NONE_CREDENTIAL, encodeCallHeader } from '../../protocol/rpc.ts';
import { XdrWriter } from '../../protocol/xdr.ts';
import { keyOfAddress } from '../callers/client-key.ts';
import { ConnectionOrder } from '../callers/connection-order.ts';
import { BatchReader, BatchWriter } from '../rpc/call-batch.ts';
import type { Services } from '../rpc/dispatcher.ts';
import { RpcRegistry } from '../rpc/rpc-program.ts';
import { reportErrorsTo } from '../system/turns.ts';
import { CallExecutor } from './call-executor.ts';
import type { CallsMessage, RepliesMessage } from './thread-messages.ts';

const SESSION = 1;
const fault = new Error('a fault');

const reported: unknown[] = [];
reportErrorsTo((error) => reported.push(error));

/** Calls of which none are left, in memory that is to be given back. */
function batch(number: number): CallsMessage {
  const memory = new SharedArrayBuffer(64);
  return {
    kind: 'calls',
    session: SESSION,
    batch: number,
    memory,
    size: 0,
    callers: [],
    gone: [],
    dropped: [],
  };
}

test('what throws while replies are put together is told, and the next replies are posted', async () => {
  const posted: RepliesMessage[] = [];
  let failing = true;
  const channel = {
    on: () => {},
    postMessage: (message: unknown) => {
      if (failing) throw fault;
      posted.push(message as RepliesMessage);
    },
  };
  // Nothing is executed: there is no call.
  const order = new ConnectionOrder(ConnectionOrder.allocate());
  const hooks = { onRefused: () => {}, execute: () => {} };
  const executor = new CallExecutor(SESSION, {} as Services, [channel], order, hooks);
  executor.take(channel, batch(1));
  await expect.poll(() => reported).toEqual([fault]);
  failing = false;
  executor.take(channel, batch(2));
  await expect.poll(() => posted.map(({ spent }) => spent)).toEqual([[2]]);
});

test('a call of a connection that its client has given up is not executed, and its thread hears that', async () => {
  const posted: RepliesMessage[] = [];
  const channel = { on: () => {}, postMessage: (message: unknown) => posted.push(message as RepliesMessage) };
  const order = new ConnectionOrder(ConnectionOrder.allocate());
  const place = order.enter(1, '10.0.0.1', 1);
  const clientKey = keyOfAddress('10.0.0.1');
  const called: number[] = [];
  const hooks = { onRefused: () => {}, execute: () => {} };
  const w = new XdrWriter();
  // No program of ours: answered with an error, if it is looked at.
  encodeCallHeader(w, 7, 4711, 1, 0, AUTH_NONE_CREDENTIAL);
  const call = w.written();
  const batchOf = (number: number): CallsMessage => {
    const memory = new SharedArrayBuffer(1024);
    const writer = new BatchWriter(memory);
    writer.add(number, 1, call, 0, call.length);
    const callers = number === 1 ? [{ id: 1, host: '10.0.0.1', port: 700, place, clientKey }] : [];
    return { ...batch(number), memory, size: writer.position, callers };
  };
  const sizes = (): number[] =>
    posted.map(({ batch: replies, size }) => {
      const reader = new BatchReader(replies, size);
      reader.next();
      called.push(reader.number);
      return reader.end - reader.start;
    });
  const executor = new CallExecutor(
    SESSION,
    { groups: null, registry: new RpcRegistry([]) } as unknown as Services,
    [channel],
    order,
    hooks,
  );
  executor.take(channel, batchOf(1));
  await expect.poll(() => posted).toHaveLength(1);
  order.enter(2, '10.0.0.1', 1);
  executor.take(channel, batchOf(2));
  await expect.poll(() => posted).toHaveLength(2);
  const [executed, left] = sizes();
  expect(executed).toBeGreaterThan(20);
  expect(left).toBe(0);
  expect(called).toEqual([1, 2]);
});
