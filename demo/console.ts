/** make demo UI=1: the console of `kubectl filerpair ui`, on the demo's two servers instead of a cluster. */

import { ConsoleServer } from '../client/cli/console/console-server.ts';
import {
  figuresBetween,
  type Reading,
  samplesOf,
  sessionsIn,
  volumesIn,
} from '../client/cli/console/metrics-text.ts';
import type { ConsoleState, ShownTransition } from '../client/cli/console/state.ts';
import type { Status } from '../fileserver/agent/status.ts';
import { SERVERS, type ServerName, type Stage } from './stage.ts';

const READ_EVERY_MS = 100;
/** Changes of owner that are shown. */
const HISTORY_MAX = 10;

interface Seen {
  readonly status: Status | null;
  readonly before: Reading | undefined;
  readonly now: Reading | undefined;
}

export class DemoConsole {
  readonly #stage: Stage;
  readonly #server: ConsoleServer;
  readonly #seen = new Map<ServerName, Seen>();
  readonly #history = new Map<string, ShownTransition>();
  #timer: NodeJS.Timeout | undefined;

  private constructor(stage: Stage, server: ConsoleServer) {
    this.#stage = stage;
    this.#server = server;
  }

  static async start(stage: Stage): Promise<DemoConsole> {
    const shown = new DemoConsole(stage, await ConsoleServer.listen(demoState(new Map(), []), 0));
    shown.#next();
    return shown;
  }

  get url(): string {
    return this.#server.url;
  }

  /** Resolves when a browser watches. */
  get watched(): Promise<void> {
    return this.#server.watched;
  }

  async close(): Promise<void> {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    await this.#server.close();
  }

  #next(): void {
    this.#timer = setTimeout(() => {
      void this.#read().then(() => {
        if (this.#timer !== undefined) this.#next();
      });
    }, READ_EVERY_MS);
  }

  async #read(): Promise<void> {
    await Promise.all(
      SERVERS.map(async (name) => {
        const status = await this.#stage.status(name);
        const text = status === null ? null : await this.#stage.metrics(status);
        const read = text === null ? undefined : { atMs: performance.now(), samples: samplesOf(text) };
        const { before, now } = compared(this.#seen.get(name), read);
        this.#seen.set(name, { status, before, now });
        const told = status?.lastTransition;
        if (told != null) this.#history.set(`${told.home}/${told.epoch}`, transitionOf(told));
      }),
    );
    const history = [...this.#history.values()]
      .toSorted((a, b) => Date.parse(b.time) - Date.parse(a.time))
      .slice(0, HISTORY_MAX);
    this.#server.show(demoState(this.#seen, history));
  }
}

/** A second at least lies between the two readings, so that figures do not jump. */
function compared(last: Seen | undefined, read: Reading | undefined): Pick<Seen, 'before' | 'now'> {
  if (read === undefined) return { before: undefined, now: undefined };
  if (last?.now === undefined) return { before: undefined, now: read };
  return read.atMs - last.now.atMs >= 1000 ? { before: last.now, now: read } : last;
}

/** Pure. What the servers say of themselves; of each disk set its owner's word counts. */
export function demoState(
  seen: ReadonlyMap<ServerName, Seen>,
  transitions: readonly ShownTransition[],
): ConsoleState {
  const statuses = SERVERS.map((name) => seen.get(name)?.status ?? null);
  return {
    title: 'demo',
    problem: null,
    servers: SERVERS.map((name) => {
      const status = seen.get(name)?.status ?? null;
      const detail = status === null ? 'no process' : `process ${status.pid}`;
      return { name, up: status !== null, detail, node: null };
    }),
    diskSets: SERVERS.map((home) => {
      const owner = SERVERS.find((name) =>
        seen
          .get(name)
          ?.status?.diskSets.some((set) => set.home === home && set.owner === name && set.phase !== null),
      );
      const set = seen.get(owner ?? home)?.status?.diskSets.find((one) => one.home === home);
      const { before, now } = (owner === undefined ? undefined : seen.get(owner)) ?? {};
      return {
        home,
        owner: owner ?? null,
        epoch: set?.epoch ?? 0,
        served: set?.phase === 'open',
        state: set?.phase ?? 'not served',
        sessions: now === undefined ? null : sessionsIn(now, home),
        volumes: now === undefined ? [] : volumesIn(now, home),
        figures: now === undefined ? null : figuresBetween(before, now, home),
      };
    }),
    interconnect: statuses.every((one) => one === null)
      ? null
      : statuses.every((one) => one?.partner.connected === true),
    conditions: [],
    transitions,
    withoutFigures: null,
  };
}

const transitionOf = (told: NonNullable<Status['lastTransition']>): ShownTransition => ({
  diskSet: told.home,
  kind: told.kind,
  cause: told.cause,
  to: told.to,
  epoch: told.epoch,
  time: told.at,
  durationMs: Math.max(
    0,
    ...told.phases.filter(({ name }) => name !== 'firstReply').map(({ atMs, tookMs }) => atMs + tookMs),
  ),
  phases: told.phases.map(({ name, atMs, tookMs }) => ({ name, offsetMs: atMs, durationMs: tookMs })),
});
