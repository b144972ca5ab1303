/** Keeps a director running, and keeps for it what must outlive it: the sockets where connections wait for a server. */
import { type ChildProcess, spawn } from 'node:child_process';
import { mkdirSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { type ListeningSocket, openListeningSocket } from './listening-socket.ts';
import { logLine } from './log.ts';
import { makePrivateNamespace, PRIVATE_NAMESPACE_FILE } from './private-namespace.ts';
import { BEGIN, DIRECTOR_SETTINGS, type DirectorSettings } from './supervisor-settings.ts';

/** A director that ends is started again at once, but not in a loop: each time twice as late, up to a second. Ms. */
const RESTART_MS = { first: 10, max: 1000 };
/** After this time a director's end is a new fault. Ms. */
const STEADY_MS = 10_000;

// A second director is loaded and waits: when the first one dies, the next decides within milliseconds. It touches nothing of this machine before (warm-up.ts).

/** Descriptors of a child: the first three are its standard ones, then comes the channel to its parent. */
const FIRST_DESCRIPTOR = 4;

export interface SupervisorOptions {
  readonly stateDirectory: string;
  readonly verbose: boolean;
  /** For mounts in the private network namespace, which is made if it is not there. */
  readonly isPrivate?: boolean;
  readonly cures?: DirectorSettings['cures'];
}

export class Supervisor {
  readonly #options: SupervisorOptions;
  readonly #sockets: readonly ListeningSocket[];
  #director: ChildProcess | null = null;
  #standby: ChildProcess | null = null;
  #restartMs = RESTART_MS.first;
  #startedMs = 0;
  #stopped = false;

  /** Throws if no socket can be opened, or the namespace cannot be made. */
  constructor(options: SupervisorOptions) {
    this.#options = options;
    mkdirSync(options.stateDirectory, { recursive: true });
    const isPrivate = options.isPrivate === true;
    if (isPrivate) makePrivateNamespace();
    this.#sockets = ['127.0.0.1', '::1'].flatMap((address) => {
      try {
        return [openListeningSocket(address, isPrivate ? PRIVATE_NAMESPACE_FILE : null)];
      } catch (error) {
        // A machine without IPv6 has no use for the second.
        if (address === '127.0.0.1') throw error;
        return [];
      }
    });
    this.#start();
  }

  /** Process of the director; it changes when one is replaced. */
  get directorPid(): number | undefined {
    return this.#director?.pid;
  }

  /** The rules stay: mounts go on, without failover until the next supervisor comes. */
  async stop(): Promise<void> {
    this.#stopped = true;
    const children = [this.#director, this.#standby].filter((child) => child !== null);
    await Promise.all(
      children.map((child) => {
        const exit = new Promise<void>((resolve) => child.once('exit', () => resolve()));
        child.kill('SIGTERM');
        return exit;
      }),
    );
  }

  #start(): void {
    const director = this.#standby ?? this.#spawn(false);
    this.#standby = null;
    this.#director = director;
    this.#startedMs = performance.now();
    director.once('message', () => {
      // It directs. Loading the next one must not take the processor from it before.
      if (!this.#stopped) this.#standby ??= this.#spawn(true);
    });
    director.send(BEGIN, () => {});
  }

  #spawn(isStandby: boolean): ChildProcess {
    const settings: DirectorSettings = {
      stateDirectory: this.#options.stateDirectory,
      verbose: this.#options.verbose,
      isPrivate: this.#options.isPrivate === true,
      isStandby,
      holders: this.#sockets.map(({ address }, index) => ({ descriptor: FIRST_DESCRIPTOR + index, address })),
      ...(this.#options.cures ? { cures: this.#options.cures } : {}),
    };
    const script = fileURLToPath(new URL('./director-main.ts', import.meta.url));
    const child = spawn(process.execPath, [script], {
      stdio: ['ignore', 'inherit', 'inherit', 'ipc', ...this.#sockets.map(({ descriptor }) => descriptor)],
      env: { ...process.env, [DIRECTOR_SETTINGS]: JSON.stringify(settings) },
    });
    child.on('exit', (code, signal) => this.#ended(child, signal ?? `code ${code}`));
    child.on('error', (error) => logLine(`the director cannot be started: ${error.message}`));
    return child;
  }

  #ended(child: ChildProcess, how: string): void {
    if (child === this.#standby) {
      // The next comes when it is needed, or with the next director.
      this.#standby = null;
      return;
    }
    this.#director = null;
    if (this.#stopped) return;
    if (performance.now() - this.#startedMs > STEADY_MS) this.#restartMs = RESTART_MS.first;
    logLine(`the director ended (${how}); the next one starts in ${this.#restartMs} ms`);
    setTimeout(() => !this.#stopped && this.#start(), this.#restartMs);
    this.#restartMs = Math.min(this.#restartMs * 2, RESTART_MS.max);
  }
}
