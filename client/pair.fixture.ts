/** A real pair for tests: two servers and two sentinels as processes, real directories, real failovers. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { SERVERS, type ServerName, Stage } from '../demo/stage.ts';

export class TestPair {
  readonly directory: string;
  readonly stage: Stage;

  private constructor(directory: string, stage: Stage) {
    this.directory = directory;
    this.stage = stage;
  }

  /** Both serve their own disks, and a failover would work now. */
  static async start(): Promise<TestPair> {
    const directory = mkdtempSync(join(tmpdir(), 'filerpair-client-'));
    const stage = await Stage.build(join(directory, 'pair'));
    const pair = new TestPair(directory, stage);
    for (const name of SERVERS) {
      stage.startSentinel(name);
      stage.startServer(name);
    }
    for (const name of SERVERS) await pair.serves(name, name);
    await pair.covered();
    return pair;
  }

  /** Of filer-a's export, or of a path below it. */
  url(path = ''): string {
    const url = this.stage.url('filer-a');
    return path === '' ? url : url.replace('/home?', `/home/${path}?`);
  }

  serves(owner: ServerName, home: ServerName): Promise<unknown> {
    return this.stage.waitFor(`${owner} serves the disks of ${home}`, async () => {
      const set = (await this.stage.status(owner))?.diskSets.find((each) => each.home === home);
      return set?.owner === owner && set.port ? set : null;
    });
  }

  /** Both servers confirm each other: a failover would work now, and a hand-over is not refused. */
  covered(): Promise<unknown> {
    return this.stage.waitFor('both servers confirm each other', async () => {
      const [a, b] = await Promise.all([this.stage.status('filer-a'), this.stage.status('filer-b')]);
      if (!a || !b || !a.sentinel.watching || !b.sentinel.watching) return null;
      const mutual = (owner: typeof a, partner: typeof a) =>
        owner.diskSets.every(
          (each) => each.owner !== owner.server || each.acknowledger === partner.incarnation,
        );
      return mutual(a, b) && mutual(b, a) ? true : null;
    });
  }

  async stop(): Promise<void> {
    await this.stage.stop();
    rmSync(this.directory, { recursive: true, force: true });
  }
}
