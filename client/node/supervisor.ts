/** Keeps a director running, and keeps for it what must outlive it: the sockets where connections wait for a server. */
import { type ChildProcess, spawn } from 'node:child_process';
import { mkdirSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { type ListeningSocket, openListeningSocket } from './listening-socket.ts';
import { logLine } from './log.ts';
import { DIRECTOR_SETTINGS, type DirectorSettings } from './supervisor-settings.ts';

/** A director that ends is started again at once, but not in a loop: each time twice as late, up to a second. Ms. */
const RESTART_MS = { first: 10, max: 1000 };
/** After this time a director's end is a new fault. Ms. */
const STEADY_MS = 10_000;

/** Descriptors of a child: the first three are its standard ones, then comes the channel to its parent. */
const FIRST_DESCRIPTOR = 4;

export interface SupervisorOptions {
  readonly stateDirectory: string;
  readonly verbose: boolean;
  readonly cures?: DirectorSettings['cures'];
}

export class Supervisor {
  readonly #options: SupervisorOptions;
  readonly #sockets: readonly ListeningSocket[];
  #child: ChildProcess | null = null;
  #restartMs = RESTART_MS.first;
  #startedMs = 0;
  #stopped = false;

  /** Throws if no socket can be opened. */
  constructor(options: SupervisorOptions) {
    this.#options = options;
    mkdirSync(options.stateDirectory, { recursive: true });
    this.#sockets = ['127.0.0.1', '::1'].flatMap((address) => {
      try {
        return [openListeningSocket(address, null)];
      } catch (error) {
        // A machine without IPv6 has no use for the second.
        if (address === '127.0.0.1') throw error;
        return [];
      }
    });
    this.#start();
  }

  /** Of the director; it changes when one is replaced. */
  get directorPid(): number | undefined {
    return this.#child?.pid;
  }

  /** The rules stay: mounts go on, without failover until the next supervisor comes. */
  async stop(): Promise<void> {
    this.#stopped = true;
    const child = this.#child;
    if (child === null) return;
    const exit = new Promise<void>((resolve) => child.once('exit', () => resolve()));
    child.kill('SIGTERM');
    await exit;
  }

  #start(): void {
    const settings: DirectorSettings = {
      stateDirectory: this.#options.stateDirectory,
      verbose: this.#options.verbose,
      holders: this.#sockets.map(({ address }, index) => ({ descriptor: FIRST_DESCRIPTOR + index, address })),
      ...(this.#options.cures ? { cures: this.#options.cures } : {}),
    };
    const script = fileURLToPath(new URL('./director-main.ts', import.meta.url));
    const child = spawn(process.execPath, [script], {
      stdio: ['ignore', 'inherit', 'inherit', 'ipc', ...this.#sockets.map(({ descriptor }) => descriptor)],
      env: { ...process.env, [DIRECTOR_SETTINGS]: JSON.stringify(settings) },
    });
    this.#child = child;
    this.#startedMs = performance.now();
    child.on('exit', (code, signal) => this.#ended(signal ?? `code ${code}`));
    child.on('error', (error) => logLine(`the director cannot be started: ${error.message}`));
  }

  #ended(how: string): void {
    this.#child = null;
    if (this.#stopped) return;
    if (performance.now() - this.#startedMs > STEADY_MS) this.#restartMs = RESTART_MS.first;
    logLine(`the director ended (${how}); the next one starts in ${this.#restartMs} ms`);
    setTimeout(() => !this.#stopped && this.#start(), this.#restartMs);
    this.#restartMs = Math.min(this.#restartMs * 2, RESTART_MS.max);
  }
}
