/** The cluster as a test sees it: through kubectl, as its users do, and not through the code under test. */
import { createInterface } from 'node:readline';
import type { TestEnvironment } from '../environment.ts';
import { outcomeOf, run, start } from '../machine/command.ts';

/** What tests look at in any object. */
export interface Thing {
  readonly kind: string;
  readonly metadata: {
    readonly name: string;
    readonly uid: string;
    readonly resourceVersion: string;
    readonly labels?: Readonly<Record<string, string>>;
    readonly annotations?: Readonly<Record<string, string>>;
    readonly deletionTimestamp?: string;
  };
}

/** One line of a watch. */
export interface WatchEvent<T> {
  readonly type: 'ADDED' | 'MODIFIED' | 'DELETED' | 'BOOKMARK' | 'ERROR';
  readonly object: T;
}

const WATCH_AGAIN_MS = 200;

export class Kubectl {
  readonly namespace: string;
  readonly #command: readonly string[];

  constructor(environment: TestEnvironment, namespace: string) {
    this.namespace = namespace;
    this.#command = [
      environment.kubectl,
      '--kubeconfig',
      environment.cluster.kubeconfig,
      '--namespace',
      namespace,
    ];
  }

  /** Runs kubectl and returns its output; throws with kubectl's own message. */
  run(...args: string[]): Promise<string> {
    return run([...this.#command, ...args]);
  }

  /** Runs kubectl whatever comes of it. */
  try(...args: string[]) {
    return outcomeOf([...this.#command, ...args]);
  }

  async get<T extends Thing>(kind: string, name: string): Promise<T> {
    return JSON.parse(await this.run('get', kind, name, '-o', 'json')) as T;
  }

  async list<T extends Thing>(kind: string, selector = ''): Promise<T[]> {
    const args = selector === '' ? [] : ['--selector', selector];
    return (JSON.parse(await this.run('get', kind, ...args, '-o', 'json')) as { items: T[] }).items;
  }

  /** Creates or changes objects, given as they would stand in a manifest. */
  apply(...objects: readonly object[]): Promise<string> {
    const list = { apiVersion: 'v1', kind: 'List', items: objects };
    return run([...this.#command, 'apply', '-f', '-'], { input: JSON.stringify(list) });
  }

  /** The same for manifests as text. */
  applyText(manifests: string): Promise<string> {
    return run([...this.#command, 'apply', '-f', '-'], { input: manifests });
  }

  /** Server-side validation of objects, changing nothing. */
  dryRun(...objects: readonly object[]) {
    const input = JSON.stringify({ apiVersion: 'v1', kind: 'List', items: objects });
    return outcomeOf([...this.#command, 'apply', '--dry-run=server', '-f', '-'], { input });
  }

  wait(what: string, condition: string, timeoutMs: number): Promise<string> {
    return this.run('wait', what, `--for=${condition}`, `--timeout=${Math.ceil(timeoutMs / 1000)}s`);
  }

  /** Follows all changes of a kind. `stop` ends the watch. */
  watch<T extends Thing>(
    kind: string,
    onEvent: (event: WatchEvent<T>) => void,
  ): { readonly stop: () => void } {
    const command = [...this.#command, 'get', kind, '--watch', '--output-watch-events', '-o', 'json'];
    let stopped = false;
    let child = follow();
    function follow(): ReturnType<typeof start> {
      const one = start(command);
      // With --output-watch-events every event is one line.
      createInterface({ input: one.stdout! }).on('line', (line) =>
        onEvent(JSON.parse(line) as WatchEvent<T>),
      );
      one.stderr!.resume();
      // An API server that stands still for long ends the watch; the next one begins with what is there.
      one.on('close', () => {
        if (!stopped) setTimeout(() => !stopped && (child = follow()), WATCH_AGAIN_MS);
      });
      return one;
    }
    return {
      stop: () => {
        stopped = true;
        child.kill();
      },
    };
  }
}
