/** A Docker engine to work with: the one that is there, or one that we start and stop ourselves. */

import { spawn } from 'node:child_process';
import { closeSync, mkdirSync, openSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { getPriority } from 'node:os';
import { join } from 'node:path';
import { eventually } from '../../testing/eventually.ts';
import { type Cache, withLock } from './cache.ts';
import { run, succeeds } from './command.ts';
import { isRoot, needPackages } from './debian-packages.ts';
import { NotPossible } from './not-possible.ts';
import { say, stage } from './stage.ts';

// Nothing is assumed, everything is looked at: whether an engine answers, whether Debian's can be installed,
// whether this machine may give containers every capability.

/** dockerd with an empty data directory answers in 2 s; it also has to load iptables rules and containerd. */
const ENGINE_START_MS_MAX = 60_000;
/** Stopping ends every container first. */
const ENGINE_STOP_MS_MAX = 60_000;
/** Number of CAP_SYS_RESOURCE in linux/capability.h. */
const CAP_SYS_RESOURCE = 24n;

/** What is left to run where containers cannot be. */
const THE_REST = 'everything that needs no containers runs with "make unit"';

/** Makes sure that an engine answers. Says so in a sentence when that is not possible here. */
export async function engineUp(cache: Cache): Promise<void> {
  if (await engineAnswers()) return;
  await withLock(join(cache.root, 'engine.lock'), 'starting the Docker engine', async () => {
    if (await engineAnswers()) return;
    if (!isRoot()) {
      throw new NotPossible(
        `No Docker engine answers this user, and starting one takes root; ${THE_REST}. With an engine: "make test".`,
      );
    }
    await installEngine();
    // The package's own start script may have started it, where there is an init system.
    if (!(await engineAnswers())) await startEngine(cache);
  });
}

/** Stops the engine if engineUp started it and nothing runs on it any more. */
export async function engineDown(cache: Cache): Promise<void> {
  const record = readRecord(cache);
  if (!record) return;
  if (isSameProcess(record)) {
    const containers = (await run(['docker', 'ps', '--quiet'])).trim();
    if (containers !== '') {
      say(`the Docker engine stays: ${containers.split('\n').length} containers of others run on it`);
      return;
    }
    await stage('stopping the Docker engine that was started for this', async () => {
      process.kill(record.pid, 'SIGTERM');
      await eventually('dockerd has ended', ENGINE_STOP_MS_MAX, () => !isSameProcess(record));
    });
  }
  rmSync(recordPath(cache), { force: true });
}

async function engineAnswers(): Promise<boolean> {
  return succeeds(['docker', 'version', '--format', '{{.Server.Version}}'], { timeoutMs: 20_000 });
}

async function installEngine(): Promise<void> {
  try {
    await needPackages(['docker.io', 'iptables', 'conntrack'], 'The Docker engine');
  } catch (error) {
    if (error instanceof NotPossible) throw new NotPossible(`${error.message} Meanwhile ${THE_REST}.`);
    throw error;
  }
}

async function startEngine(cache: Cache): Promise<void> {
  const directory = join(cache.root, 'engine');
  mkdirSync(directory, { recursive: true });
  const logPath = join(directory, 'dockerd.log');
  await stage(`starting dockerd (log: ${logPath})`, async () => {
    const log = openSync(logPath, 'w');
    const flags = mayGrantEveryCapability()
      ? []
      : [
          '--add-runtime',
          `without-sys-resource=${RUNC_WITHOUT_SYS_RESOURCE}`,
          '--default-runtime',
          'without-sys-resource',
        ];
    // A session of its own: it outlives this process, and engineDown stops it. Nor may its containers inherit that this process
    // was told to be nice: what is measured in them later would be measured against everything else.
    const child = spawn('nice', ['-n', `${-getPriority()}`, 'dockerd', ...flags], {
      detached: true,
      stdio: ['ignore', log, log],
    });
    closeSync(log);
    child.unref();
    const pid = child.pid!;
    writeFileSync(
      recordPath(cache),
      JSON.stringify({ pid, startTime: startTimeOf(pid) } satisfies EngineRecord),
    );
    await eventually('dockerd answers', ENGINE_START_MS_MAX, async () => {
      if (child.exitCode !== null)
        throw new Error(`dockerd ended with ${child.exitCode}:\n${await run(['tail', '-15', logPath])}`);
      return engineAnswers();
    });
  });
}

/** runc, asked for one capability less (see the script). */
const RUNC_WITHOUT_SYS_RESOURCE = join(import.meta.dirname, 'runc-without-sys-resource');

/**
 * `docker run --privileged`, which kind uses, asks for all capabilities, and runc fails ("unable to apply caps")
 * when the bounding set of this machine lacks one. CAP_SYS_RESOURCE is the one that sandboxes withhold.
 */
function mayGrantEveryCapability(): boolean {
  const bounding = /^CapBnd:\s*([0-9a-f]+)/m.exec(readFileSync('/proc/self/status', 'utf8'))?.[1] ?? '0';
  const all = ((BigInt(`0x${bounding}`) >> CAP_SYS_RESOURCE) & 1n) === 1n;
  if (!all) say('this machine withholds CAP_SYS_RESOURCE: containers will do without it');
  return all;
}

/** Which dockerd is ours: a process number alone may have been given to another process since. */
interface EngineRecord {
  readonly pid: number;
  /** Field 22 of /proc/PID/stat: clock ticks between boot and start. */
  readonly startTime: string;
}

function recordPath(cache: Cache): string {
  return join(cache.root, 'engine', 'started.json');
}

function readRecord(cache: Cache): EngineRecord | undefined {
  try {
    return JSON.parse(readFileSync(recordPath(cache), 'utf8')) as EngineRecord;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw error;
  }
}

function isSameProcess(record: EngineRecord): boolean {
  return startTimeOf(record.pid) === record.startTime;
}

/** The start time of a process, or an empty string when it is gone or a zombie. */
function startTimeOf(pid: number): string {
  try {
    // The second field is the command in parentheses, which may contain spaces: count from behind it.
    const fields = readFileSync(`/proc/${pid}/stat`, 'utf8')
      .replace(/^.*\) /, '')
      .split(' ');
    return fields[0] === 'Z' ? '' : (fields[19] ?? '');
  } catch {
    return '';
  }
}
