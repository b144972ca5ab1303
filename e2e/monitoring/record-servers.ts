/** Records what the servers of a pair on this machine tell Prometheus while one is dead, a sentinel is, and a volume runs full. */
import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync, statfsSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { samplesOf } from '../../client/cli/console/metrics-text.ts';
import { SERVERS, type ServerName } from '../../demo/stage.ts';
import { pause } from '../../testing/pause.ts';
import { LoopMount, makeImage } from '../disk/recording-disk.ts';
import { LocalPair } from '../harness/local-pair.ts';
import { GRID_SECONDS, type Moment, seriesText } from '../harness/recorded-series.ts';
import { stage as step } from '../machine/stage.ts';
import { RECORDED_SERVERS, watchedMetrics, writeRecording } from './recording.ts';

/** A pair without Kubernetes has no operator: after five minutes that is told, too. */
const NO_OPERATOR = 'FilerPairOperatorAway';
const VOLUME_MIB = 512;
/** Twenty minutes on a machine that may be busy: nothing else than what is recorded is to happen. */
const TIMING = { leaseMs: 6000, guardMs: 1500, heartbeatMs: 500 };
/** Of the volume, what stays free. */
const LEFT = 0.01;

class Scraper {
  readonly #pair: LocalPair;
  readonly #values = new Map<string, (number | null)[]>();
  readonly #watched = new Set(watchedMetrics());
  readonly moments: Moment[] = [];
  #steps = 0;

  constructor(pair: LocalPair) {
    this.#pair = pair;
  }

  /** Scrapes as often as fits in the time, and says what fires at its end. */
  async during(name: string, seconds: number, firing: readonly string[]): Promise<void> {
    await step(name, async () => {
      for (let passed = 0; passed < seconds; passed += GRID_SECONDS) {
        await pause(GRID_SECONDS * 1000, 'what is recorded takes the time that alerts wait');
        await this.#scrape();
      }
    });
    this.moments.push({ name, step: this.#steps - 1, firing });
  }

  series(): { series: string; values: (number | null)[] }[] {
    return [...this.#values].map(([series, values]) => ({
      series,
      values: [...values, ...new Array<null>(this.#steps - values.length).fill(null)],
    }));
  }

  async #scrape(): Promise<void> {
    for (const server of SERVERS) {
      for (const { name, labels, value } of samplesOf(await this.#metrics(server))) {
        if (!this.#watched.has(name)) continue;
        const target = { namespace: 'storage', pod: `nas-${server.slice(-1)}`, filerpair_dev_pair: 'nas' };
        const series = seriesText({ __name__: name, ...labels, ...target });
        const values = this.#values.get(series) ?? [];
        this.#values.set(series, values);
        while (values.length < this.#steps) values.push(null);
        values.push(value);
      }
    }
    this.#steps += 1;
  }

  async #metrics(server: ServerName): Promise<string> {
    const { stage } = this.#pair;
    const status = await stage.status(server);
    return (status === null ? null : await stage.metrics(status)) ?? '';
  }
}

/** Some twenty minutes. Needs root, for a file system of its own. */
export async function recordServers(): Promise<void> {
  const directory = mkdtempSync(join(tmpdir(), 'filerpair-recording-'));
  makeImage(join(directory, 'image'), 'ext4', VOLUME_MIB);
  const mounted = new LoopMount('ext4', join(directory, 'image'), join(directory, 'volumes/filer-a'));
  const pair = await LocalPair.start(directory, TIMING);
  const scraper = new Scraper(pair);
  try {
    await scraper.during('both serve', 60, []);
    pair.stage.kill('filer-a');
    await scraper.during('a server has been dead for two minutes', 180, ['FilerPairPartnerNotConnected']);
    await pair.giveBack('filer-a');
    await scraper.during('it is back', 60, []);
    pair.stage.killSentinel('filer-b');
    await scraper.during('a sentinel has been dead for two minutes', 180, [
      NO_OPERATOR,
      'FilerPairSentinelNotWatching',
    ]);
    pair.stage.startSentinel('filer-b');
    await scraper.during('it watches again', 60, [NO_OPERATOR]);
    const { bavail, bsize, blocks } = statfsSync(mounted.path);
    const size = Math.floor((bavail - blocks * LEFT) * bsize);
    execFileSync('fallocate', ['-l', String(size), join(mounted.path, 'data/much')]);
    await scraper.during('a volume has been full for two minutes', 120, [NO_OPERATOR, 'FilerPairVolumeFull']);
    await scraper.during('and for ten', 540, [
      NO_OPERATOR,
      'FilerPairVolumeAlmostFull',
      'FilerPairVolumeFull',
    ]);
    rmSync(join(mounted.path, 'data/much'));
    await scraper.during('it has room again', 60, [NO_OPERATOR]);
    writeRecording(RECORDED_SERVERS, {
      title: 'a server that dies and comes back, a sentinel that does, a volume that runs full',
      day: new Date().toISOString().slice(0, 10),
      series: scraper.series(),
      moments: scraper.moments,
    });
  } finally {
    await pair.stopServers();
    await mounted.unmount();
    rmSync(directory, { recursive: true, force: true });
  }
}
