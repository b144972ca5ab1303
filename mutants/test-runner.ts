/** Test files of one copy of the checkout, run as often as wanted, each time with another file changed. */
import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import type { RunRequest, RunResult } from './warm-tests.ts';

/** late: still running when its time was over; then it has been killed with all that it had started. */
export type Outcome = 'passed' | 'failed' | 'late';

export class TestRunner {
  readonly #copy: string;
  #child: ChildProcess | null = null;

  constructor(copy: string) {
    this.#copy = copy;
  }

  async run(request: RunRequest, limitMs: number): Promise<Outcome> {
    const child = this.#child ?? (await this.#start());
    const ended = Promise.withResolvers<Outcome>();
    const timer = setTimeout(() => {
      this.kill();
      ended.resolve('late');
    }, limitMs);
    const onMessage = ({ passed }: RunResult): void => ended.resolve(passed ? 'passed' : 'failed');
    const onExit = (): void => {
      this.#child = null;
      ended.resolve('failed');
    };
    child.once('message', onMessage);
    child.once('exit', onExit);
    child.send(request);
    try {
      return await ended.promise;
    } finally {
      clearTimeout(timer);
      child.off('message', onMessage);
      child.off('exit', onExit);
    }
  }

  /** Kills what runs, with everything that it has started. */
  kill(): void {
    const child = this.#child;
    this.#child = null;
    if (child?.pid === undefined || child.exitCode !== null || child.signalCode !== null) return;
    process.kill(-child.pid, 'SIGKILL');
  }

  async #start(): Promise<ChildProcess> {
    const program = new URL('warm-tests.ts', import.meta.url).pathname;
    const child = fork(program, {
      cwd: this.#copy,
      stdio: ['ignore', 'ignore', 'inherit', 'ipc'],
      detached: true,
    });
    this.#child = child;
    await Promise.race([
      once(child, 'message'),
      once(child, 'exit').then(() => {
        throw new Error(`${program} ended before it was ready`);
      }),
    ]);
    return child;
  }
}
