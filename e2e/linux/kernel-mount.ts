/**
 * A Linux guest whose kernel mounts a pair of this machine by the kernel's path: the mount by a line of fstab, writers on it, faults,
 * and what the writers saw of each.
 */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { LocalPair } from '../harness/local-pair.ts';
import { Guest, HOST_IN_GUEST } from './guest.ts';
import type { GuestImage } from './guest-image.ts';
import { packGuestPrograms, UNPACK_PROGRAMS } from './guest-programs.ts';
import { type GuestAnswer, GuestShell } from './guest-shell.ts';
import { answersIn, waitAfter } from './waits.ts';

export const FAULTS = [
  /** SIGKILL of the server. */
  'kill',
  /** SIGSTOP of the server, until its partner serves. */
  'freeze',
  /** No packet passes between the guest and the server any more, then the server is killed: a machine without power. */
  'powerOff',
  /** The server starts again and gets its disk set back. */
  'giveback',
  /** SIGKILL of the director. */
  'director',
  /** Both at once. */
  'directorAndKill',
  'directorAndFreeze',
  'directorAndGiveback',
  /** `filerpair node` ends and is started again, as for an upgrade. */
  'nodeReplaced',
  /** Another program empties nf_tables. */
  'rulesFlushed',
  /** Another program empties the table of tracked connections. */
  'connectionsFlushed',
] as const;
export type Fault = (typeof FAULTS)[number];

export interface FaultFigures {
  readonly fault: Fault;
  /** The longest time between two acknowledged lines of one writer. */
  readonly gapMs: number;
  /** Of it: from the first answer that the director had from the server that goes on. Null: it did not change. */
  readonly afterAnswerMs: number | null;
  /** What the director logged meanwhile. */
  readonly log: readonly string[];
}

export interface WritersResult {
  readonly acknowledged: number;
  readonly errors: readonly string[];
  readonly lost: number;
  readonly doubled: number;
}

interface Writer {
  readonly name: string;
  /** Times of acknowledged lines; the first is line 1. Seconds of the guest's clock. */
  readonly acks: number[];
  readonly errors: string[];
}

/** How the kernel's client is mounted: options of the line of fstab, and what is started for it. */
export const WAYS = {
  kernel: { options: 'by=kernel', program: 'node' },
  /** In a network namespace of its own. */
  private: { options: 'by=kernel,network=private', program: 'node --private' },
  /** Four connections of one client. */
  nconnect: { options: 'by=kernel,nconnect=4', program: 'node' },
  proxy: { options: 'by=proxy', program: null },
} as const;
export type Way = keyof typeof WAYS;

const DIRECTORY = '/mnt/home';
const LOGS = '/run/filerpair/filerpair-*.log';
const STOP = '/run/stop-writers';
/** Lines of each writer between two faults. */
const PROGRESS = 30;
/** A hard mount waits forever; a test does not. */
const PROGRESS_MS_MAX = 120_000;
const BOOT_MS_MAX = 240_000;
const BOOTS_MAX = 3;
const CLOCK_MS = 3000;
const CLOCK_ERROR_MAX = 0.1;

const logOf = (writer: string): string => `/run/${writer}.log`;

export class KernelMount {
  readonly #pair: LocalPair;
  readonly #guest: Guest;
  readonly #shell: GuestShell;
  readonly #way: Way;
  readonly #writers: Writer[] = [];
  #logLines = 0;

  private constructor(pair: LocalPair, guest: Guest, shell: GuestShell, way: Way) {
    this.#way = way;
    this.#pair = pair;
    this.#guest = guest;
    this.#shell = shell;
  }

  /**
   * Boots the guest, with the programs of these sources in it.
   *
   * @param bySystemd as in GuestHardware
   */
  static async boot(image: GuestImage, way: Way = 'kernel', bySystemd = false): Promise<KernelMount> {
    for (let attempt = 1; ; attempt++) {
      const mount = await KernelMount.#boot(image, way, bySystemd);
      const rate = await mount.#clockRate();
      if (Math.abs(rate - 1) < CLOCK_ERROR_MAX) return mount;
      await mount.discard();
      const what = `the guest's clock runs ${rate.toFixed(2)} times as fast as this machine's`;
      if (attempt === BOOTS_MAX) throw new Error(what);
      console.log(`${what}: it boots again`);
    }
  }

  static async #boot(image: GuestImage, way: Way, bySystemd: boolean): Promise<KernelMount> {
    const archive = await packGuestPrograms();
    const shell = await GuestShell.listen();
    const pair = await LocalPair.start();
    const scripts = join(import.meta.dirname, 'scripts');
    const hardware = { memoryMiB: 1280, archive, bySystemd };
    const guest = await Guest.boot(image, `${UNPACK_PROGRAMS}\n${shell.script}`, [scripts], hardware);
    const mount = new KernelMount(pair, guest, shell, way);
    try {
      await Promise.race([shell.connected(), guest.exitCode(BOOT_MS_MAX).then(mount.#endedEarly)]);
      return mount;
    } catch (error) {
      await mount.discard();
      throw error;
    }
  }

  /** The pair, as the guest finds it. */
  get url(): string {
    return this.#pair.stage.url('filer-a').replaceAll('127.0.0.1', HOST_IN_GUEST);
  }

  /** Runs a script in the guest. */
  run(script: string): Promise<string> {
    return this.#shell.run(script);
  }

  /** The same, whatever its end is. */
  outcome(script: string): Promise<GuestAnswer> {
    return this.#shell.outcome(script);
  }

  /** The release of the guest's kernel. */
  async kernel(): Promise<string> {
    return (await this.run('uname -r')).trim();
  }

  /** By a line of fstab and mount(8). */
  async mount(): Promise<void> {
    const line = `${this.url} ${DIRECTORY} filerpair _netdev,${WAYS[this.#way].options} 0 0`;
    await this.run(`mkdir -p ${DIRECTORY}; echo '${line}' >>/etc/fstab; mount ${DIRECTORY}`);
  }

  async startWriters(count: number): Promise<void> {
    for (let index = 0; index < count; index++) {
      const name = `lines-${index}`;
      this.#writers.push({ name, acks: [], errors: [] });
      const command = `perl /t/scripts/line-writer.pl ${DIRECTORY}/${name} ${logOf(name)} ${STOP}`;
      await this.run(`touch ${logOf(name)}; setsid ${command} </dev/null >/dev/null 2>&1 &`);
    }
    await this.#progress();
    this.#logLines += (await this.#newLogLines()).length;
  }

  /** Does it, waits until all writers go on, and says what they saw. */
  async suffer(fault: Fault): Promise<FaultFigures> {
    const counts = this.#writers.map(({ acks }) => acks.length);
    await this.#does(fault);
    await this.#progress();
    const log = await this.#newLogLines();
    this.#logLines += log.length;
    const answers = answersIn(log).map((atMs) => atMs / 1000);
    const gaps = this.#writers.map(({ acks }, index) => longestGap(acks, counts[index]!));
    const gap = gaps.reduce((longest, each) =>
      each.to - each.from > longest.to - longest.from ? each : longest,
    );
    const waits = answers.flatMap((answer) => this.#writers.map(({ acks }) => waitAfter(acks, answer)));
    return {
      fault,
      gapMs: Math.round((gap.to - gap.from) * 1000),
      afterAnswerMs: waits.length === 0 ? null : Math.round(Math.max(...waits) * 1000),
      log,
    };
  }

  /** Ends the writers, and compares what was acknowledged with what is on the volume. */
  async endWriters(): Promise<WritersResult> {
    await this.run(`touch ${STOP}; while pgrep -f line-writer.pl >/dev/null; do sleep 0.1; done`);
    await this.#readAcks();
    const result = { acknowledged: 0, errors: [] as string[], lost: 0, doubled: 0 };
    for (const { name, acks, errors } of this.#writers) {
      const path = join(this.#pair.stage.volume('filer-a'), name);
      const lines = readFileSync(path, 'latin1').trim().split('\n').map(Number);
      const found = new Set(lines);
      result.acknowledged += acks.length;
      result.errors.push(...errors);
      result.lost += acks.filter((_, index) => !found.has(index + 1)).length;
      result.doubled += lines.length - found.size;
    }
    return result;
  }

  /** SIGKILL of the home server; its partner serves. */
  async killServer(): Promise<void> {
    await this.#does('kill');
  }

  async giveBack(): Promise<void> {
    await this.#does('giveback');
  }

  async unmount(): Promise<void> {
    await this.run(`filerpair umount ${DIRECTORY}`);
  }

  async discard(): Promise<void> {
    await this.#guest.discard();
    this.#shell.close();
    await this.#pair.stop();
  }

  get #startNode(): string {
    return `setsid filerpair ${WAYS[this.#way].program} --while-used >>$(ls ${LOGS}) 2>&1 </dev/null &`;
  }

  /** A kernel that boots on a busy machine may measure its processor's clock wrongly, and then no time that it says is right. */
  async #clockRate(): Promise<number> {
    const now = async () => Number(await this.run('date +%s.%N'));
    const begun = { guest: await now(), hereMs: performance.now() };
    await delay(CLOCK_MS);
    const seconds = (await now()) - begun.guest;
    return (seconds * 1000) / (performance.now() - begun.hereMs);
  }

  readonly #endedEarly = (code: number): never => {
    throw new Error(`the guest ended with ${code}:\n${this.#guest.output()}`);
  };

  async #does(fault: Fault): Promise<void> {
    const { stage } = this.#pair;
    switch (fault) {
      case 'kill':
        stage.kill('filer-a');
        return this.#pair.servedBy('filer-a', 'filer-b');
      case 'freeze':
        stage.freeze('filer-a');
        await this.#pair.servedBy('filer-a', 'filer-b');
        stage.kill('filer-a');
        return;
      case 'powerOff': {
        const port = stage.primaryPort('filer-a');
        await this.run(cutOff(port));
        stage.kill('filer-a');
        await this.#pair.servedBy('filer-a', 'filer-b');
        await this.#progress();
        await this.run('nft delete table ip power');
        return;
      }
      case 'giveback':
        return this.#pair.giveBack('filer-a');
      case 'director':
        await this.#killDirector();
        return;
      case 'directorAndKill':
        await this.#killDirector();
        return this.#does('kill');
      case 'directorAndFreeze':
        await this.#killDirector();
        return this.#does('freeze');
      case 'directorAndGiveback':
        return this.#giveBackWithoutDirector();
      case 'nodeReplaced':
        await this.run(
          `pkill -TERM -f 'main.js node'; while pgrep -f 'main.js node'; do sleep 0.05; done; ${this.#startNode}`,
        );
        return this.#directed();
      case 'rulesFlushed':
        await this.run('nft flush ruleset');
        return;
      case 'connectionsFlushed':
        await this.run('conntrack -F');
        return;
    }
  }

  async #killDirector(): Promise<void> {
    // The other one is loaded later, and waits.
    await this.run('pkill -KILL -o -f director-main');
  }

  /** The director dies in the moment in which the disk set goes back. */
  async #giveBackWithoutDirector(): Promise<void> {
    const giveback = this.#pair.giveBack('filer-a');
    const { stage } = this.#pair;
    await stage.waitFor('the giveback begins', async () => {
      const set = (await stage.status('filer-b'))?.diskSets.find(({ home }) => home === 'filer-a');
      return set?.owner === 'filer-b' && set.phase === 'open' ? null : true;
    });
    await this.#killDirector();
    await giveback;
  }

  /** A director lives and has a server. */
  async #directed(): Promise<void> {
    const inside = this.#way === 'private' ? 'ip netns exec filerpair ' : '';
    await this.run(`until ${inside}nft list set ip filerpair alive | grep -q 169.254; do sleep 0.1; done`);
  }

  async #progress(): Promise<void> {
    await this.#readAcks();
    const goals = this.#writers.map(({ acks }) => acks.length + PROGRESS);
    const endMs = performance.now() + PROGRESS_MS_MAX;
    while (this.#writers.some(({ acks }, index) => acks.length < goals[index]!)) {
      await this.#readAcks();
      if (performance.now() > endMs) {
        const log = await this.#newLogLines();
        throw new Error(`no writer goes on for ${PROGRESS_MS_MAX / 1000} s:\n${log.join('\n')}`);
      }
      const error = this.#writers.flatMap(({ errors }) => errors)[0];
      if (error !== undefined) throw new Error(`a writer ended: ${error}`);
    }
  }

  async #readAcks(): Promise<void> {
    const read = this.#writers.map(
      ({ name, acks, errors }) => `tail -n +${acks.length + errors.length + 1} ${logOf(name)}; echo -`,
    );
    const parts = (await this.run(read.join('; '))).split('-\n');
    for (const [index, { acks, errors }] of this.#writers.entries()) {
      for (const line of (parts[index] ?? '').split('\n')) {
        // The last line may be half written.
        const match = /^(\d+) (\d+\.\d{6})$/.exec(line);
        if (match !== null && Number(match[1]) === acks.length + 1) acks.push(Number(match[2]));
        if (line.startsWith('ERROR')) errors.push(line);
      }
    }
  }

  async #newLogLines(): Promise<string[]> {
    const text = await this.run(`cat ${LOGS} | tail -n +${this.#logLines + 1}`);
    return text.split('\n').filter((line) => line !== '');
  }
}

/** Commands that let no packet to or from this port pass. */
const cutOff = (port: number): string => `nft -f - <<'END'
table ip power {
  chain in { type filter hook prerouting priority -500; tcp sport ${port} drop; };
  chain out { type filter hook postrouting priority 500; tcp dport ${port} drop; };
}
END`;

/** From the `begin`-th acknowledged line on. */
function longestGap(acks: readonly number[], begin: number): { from: number; to: number } {
  let longest = { from: 0, to: 0 };
  for (let at = Math.max(begin, 1); at < acks.length; at++) {
    const gap = { from: acks[at - 1]!, to: acks[at]! };
    if (gap.to - gap.from > longest.to - longest.from) longest = gap;
  }
  return longest;
}
