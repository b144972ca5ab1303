/** A pair on this machine for tests with NFS clients: the demo's, servers and sentinels as they run in production. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { partnerOf, SERVERS, type ServerName, Stage, StageError } from '../../demo/stage.ts';
import { eventually } from '../../testing/eventually.ts';

/** Heartbeats are steady after some lease times; the rest is for busy machines. */
const GIVEBACK_MS_MAX = 30_000;

export class LocalPair {
  readonly stage: Stage;

  private constructor(stage: Stage) {
    this.stage = stage;
  }

  /**
   * Starts both servers and waits until each serves its own disk set.
   *
   * @param directory of the caller, for all that the pair has
   * @param timing of the servers' configuration, where it is not theirs by default
   */
  static async start(
    directory = mkdtempSync(join(tmpdir(), 'filerpair-e2e-')),
    timing: object = {},
  ): Promise<LocalPair> {
    const pair = new LocalPair(await Stage.build(directory, timing));
    for (const server of SERVERS) {
      pair.stage.startSentinel(server);
      pair.stage.startServer(server);
    }
    try {
      for (const server of SERVERS) await pair.servedBy(server, server);
      await pair.#connected();
    } catch (error) {
      await pair.stop();
      throw error;
    }
    return pair;
  }

  async servedBy(home: ServerName, owner: ServerName): Promise<void> {
    await this.stage.waitFor(`${owner} serves the disk set of ${home}`, async () => {
      const status = await this.stage.status(owner);
      const set = status?.diskSets.find((one) => one.home === home);
      return set?.owner === owner && set.phase === 'open' ? set : null;
    });
  }

  /** Starts a server that was killed, and has its disk set given back to it. */
  async giveBack(home: ServerName): Promise<void> {
    this.stage.startServer(home);
    await this.#connected();
    await this.#giveBackWhenSteady(home);
    await this.servedBy(home, home);
  }

  /** A giveback is refused, with a reason, until the heartbeats have been steady for a moment. */
  async #giveBackWhenSteady(home: ServerName): Promise<void> {
    let refusal = '';
    await eventually(
      `the giveback to ${home} is accepted`,
      GIVEBACK_MS_MAX,
      async () => {
        try {
          await this.stage.giveback(partnerOf(home), home);
          return true;
        } catch (error) {
          if (!(error instanceof StageError)) throw error;
          refusal = error.message;
          return false;
        }
      },
      () => refusal,
    );
  }

  /** Waits until both servers hear each other and are watched by their sentinels: a failover would work now. */
  async #connected(): Promise<void> {
    for (const server of SERVERS) {
      await this.stage.waitFor(`${server} is covered`, async () => {
        const status = await this.stage.status(server);
        return status?.partner.connected && status.sentinel.watching ? status : null;
      });
    }
  }

  /** Ends all processes, and leaves what they wrote. */
  async stopServers(): Promise<void> {
    await this.stage.stop();
  }

  /** Ends all processes and removes everything. */
  async stop(): Promise<void> {
    await this.stopServers();
    rmSync(this.stage.directory, { recursive: true, force: true });
  }
}

/** What the pair exports on both servers. */
export const LOCAL_EXPORT = '/home';
