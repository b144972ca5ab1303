import { expect, test } from 'vitest';
import { reportErrorsTo } from '../system/turns.ts';
import { CallExecutor } from './call-executor.ts';
import type { Programs } from './dispatcher.ts';
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
  const hooks = { onRefused: () => {}, execute: () => {} };
  const executor = new CallExecutor(SESSION, {} as Programs, [channel], hooks);
  executor.take(channel, batch(1));
  await expect.poll(() => reported).toEqual([fault]);
  failing = false;
  executor.take(channel, batch(2));
  await expect.poll(() => posted.map(({ spent }) => spent)).toEqual([[2]]);
});
