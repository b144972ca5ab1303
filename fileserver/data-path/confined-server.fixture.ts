/**
 * A data path with all its threads in a process of its own, which a test starts with other privileges or limits: by way of a
 * command such as `prlimit --nofile=1024:1024`. Run as a program, it is that process.
 */

import { type ChildProcess, spawn } from 'node:child_process';
import { join } from 'node:path';
import type { Failpoints } from '../system/failpoints.ts';
import type { CloseMode, FromDataThread, OpenMessage } from '../threads/messages.ts';
import { TestDataThread } from './data-thread.fixture.ts';
import { type ReadableCheckout, readableCheckout } from './readable-checkout.fixture.ts';

interface Order {
  readonly testing: Failpoints | null;
  readonly open: OpenMessage | null;
  readonly close: CloseMode | null;
}

export class ConfinedServer {
  readonly messages: FromDataThread[];
  readonly #child: ChildProcess;
  readonly #checkout: ReadableCheckout;
  readonly #ended: Promise<string>;

  /** prefix: a command that executes the words behind it. env: in addition to this process's. */
  constructor(prefix: readonly string[], env: Readonly<Record<string, string>> = {}) {
    this.messages = [];
    this.#checkout = readableCheckout();
    const { root, node } = this.#checkout;
    const program = join(root, 'fileserver/data-path/confined-server.fixture.ts');
    const [command, ...args] = [...prefix, node, program, 'serve'];
    this.#child = spawn(command!, args, {
      cwd: root,
      env: { ...process.env, NODE_OPTIONS: '', ...env },
      stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
    });
    this.#child.on('message', (message: FromDataThread) => this.messages.push(message));
    this.#ended = new Promise((resolve) => {
      this.#child.once('error', (error) => resolve(error.message));
      this.#child.once('exit', (code, signal) => resolve(`it ended: ${code ?? signal}`));
    });
  }

  get pid(): number {
    return this.#child.pid!;
  }

  /** Resolves with the port. Throws why it does not serve. */
  async open(open: OpenMessage, testing: Failpoints | null = null): Promise<number> {
    this.#child.send({ testing, open, close: null } satisfies Order);
    const answer = await this.next(({ kind }) => kind === 'opened' || kind === 'openFailed');
    if (answer.kind === 'opened') return answer.port;
    throw new Error(answer.kind === 'openFailed' ? `${answer.reason}: ${answer.message}` : answer.kind);
  }

  async close(mode: CloseMode): Promise<void> {
    this.#child.send({ testing: null, open: null, close: mode } satisfies Order);
    await this.next(({ kind }) => kind === 'closed');
  }

  next(wanted: (message: FromDataThread) => boolean): Promise<FromDataThread> {
    return new Promise((resolve, reject) => {
      this.#child.on('message', (message: FromDataThread) => {
        if (wanted(message)) resolve(message);
      });
      void this.#ended.then((why) => reject(new Error(why)));
    });
  }

  async stop(): Promise<void> {
    this.#child.kill('SIGKILL');
    await this.#ended;
    this.#checkout.remove();
  }
}

function serve(): void {
  let thread: TestDataThread | null = null;
  const relay = (of: TestDataThread): void => {
    void of
      .next((message): message is FromDataThread => message !== null)
      .then((message) => {
        process.send!(message);
        relay(of);
      });
  };
  process.on('message', ({ testing, open, close }: Order) => {
    if (thread === null) {
      thread = new TestDataThread(testing ?? undefined);
      relay(thread);
    }
    if (open !== null) void thread.open(open).catch(() => {});
    if (close !== null) void thread.close('local', close);
  });
  process.on('disconnect', () => process.exit(0));
}

if (process.argv[2] === 'serve') serve();
