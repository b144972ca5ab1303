/**
 * The NFS client of a Linux kernel by the kernel's path or through the proxy: a line of fstab mounts, and writers go on while servers and
 * directors die.
 * They see pauses, no error, and no line is lost or doubled.
 */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, inject, test } from 'vitest';
import { REPOSITORY, readKernelGuests } from '../environment.ts';
import { step } from '../harness/step.ts';
import { readJsonFile, writeJsonFile } from '../machine/json-file.ts';
import { type Fault, type FaultFigures, KernelMount, type Way } from './kernel-mount.ts';
import { spread } from './waits.ts';

declare module 'vitest' {
  interface ProvidedContext {
    /** How many faults; absent: the short form. */
    kernelPathFaults?: number;
    /** Absent: the kernel's path in the first network namespace. */
    kernelMountWay?: Way;
  }
}

const SHORT: readonly Fault[] = [
  'kill',
  'giveback',
  'director',
  'freeze',
  'giveback',
  'powerOff',
  'directorAndGiveback',
];

/** What happens to the server that serves, to bring its disk set back after each of these, and beside them. */
const AWAY: readonly Fault[] = ['kill', 'freeze', 'kill', 'powerOff'];
const BACK: readonly Fault[] = ['giveback', 'giveback', 'giveback'];
/** There is a director that may die, too. */
const DIRECTED_AWAY: readonly Fault[] = [...AWAY, 'directorAndKill', 'directorAndFreeze'];
const DIRECTED_BACK: readonly Fault[] = [...BACK, 'directorAndGiveback'];
const BESIDE: readonly Fault[] = ['rulesFlushed', 'nodeReplaced', 'director', 'connectionsFlushed'];

const way = inject('kernelMountWay') ?? 'kernel';

function plan(count: number): Fault[] {
  const isDirected = way !== 'proxy';
  const [away, back] = isDirected ? [DIRECTED_AWAY, DIRECTED_BACK] : [AWAY, BACK];
  const faults: Fault[] = [];
  for (let round = 0; faults.length < count; round++) {
    faults.push(away[round % away.length]!, back[round % back.length]!);
    if (isDirected && round % 3 === 2) faults.push(BESIDE[Math.floor(round / 3) % BESIDE.length]!);
  }
  const some = faults.slice(0, count);
  // What follows finds the disk set on its home server.
  return away.includes(some.at(-1)!) ? [...some, 'giveback'] : some;
}

const WRITERS: Record<Way, number> = { kernel: 2, private: 2, nconnect: 4, proxy: 2 };
/** A longer wait is shown with what the director did. Ms. */
const EXPLAINED_MS = 200;
/** Figures for programs. */
const FIGURES = join(REPOSITORY, 'out/kernel-path.json');

const count = inject('kernelPathFaults');
const faults = count === undefined ? SHORT : plan(count);

describe.each(readKernelGuests())(`Debian $debian, ${way}`, ({ debian, image }) => {
  let mount: KernelMount;
  beforeAll(async () => {
    mount = await step(`the guest boots (${debian})`, () => KernelMount.boot(image, way));
  });
  afterAll(() => mount?.discard());

  test(
    `writers on a kernel mount see no error in ${faults.length} faults, and no line is lost or doubled`,
    async () => {
      await step('a line of fstab mounts', () => mount.mount());
      await step('writers begin', () => mount.startWriters(WRITERS[way]));
      await asWanted();
      const figures: FaultFigures[] = [];
      for (const fault of faults) {
        const one = await mount.suffer(fault);
        figures.push(one);
        const after = one.afterAnswerMs === null ? '' : `, ${one.afterAnswerMs} ms after the answer`;
        console.log(`${fault}: gap ${one.gapMs} ms${after}`);
        if ((one.afterAnswerMs ?? 0) > EXPLAINED_MS) console.log(one.log.join('\n'));
      }
      const writers = await step('writers end', () => mount.endWriters());
      report(await mount.kernel(), figures, writers.acknowledged);
      expect(writers).toEqual({
        acknowledged: writers.acknowledged,
        errors: [],
        lost: 0,
        doubled: 0,
      });
    },
    faults.length * 60_000 + 600_000,
  );

  test('after umount nothing of it is left: no mount, no address, no director', async () => {
    await mount.unmount();
    expect(await mount.run('grep -c " nfs " /proc/mounts || true')).toBe('0\n');
    await nothingRuns();
  });

  test.skipIf(way !== 'kernel')(
    'a mount that mount(8) refuses leaves nothing either, and says why',
    async () => {
      const { code, output } = await mount.outcome(`filerpair mount -o bogus=1 '${mount.url}' /mnt/bogus`);
      expect(code).not.toBe(0);
      expect(output).toContain('mount.nfs: an incorrect mount option was specified');
      await nothingRuns();
    },
  );

  test.skipIf(way !== 'kernel')(
    'the three commands of the README mount, and the mount survives a kill',
    async () => {
      const commands = commandsOfReadme();
      expect(commands).toHaveLength(3);
      for (const command of commands)
        await mount.run(command.replaceAll('nfs://nas-a/home', `'${mount.url}'`));
      await mount.run('echo before >/mnt/readme; sync');
      await mount.killServer();
      expect(await mount.run('echo after >>/mnt/readme; cat /mnt/readme')).toBe('before\nafter\n');
      await mount.giveBack();
      await mount.run('filerpair umount /mnt');
      await nothingRuns();
    },
  );

  test.skipIf(way !== 'kernel')(
    'without a part of the kernel the mount goes through the proxy, and says why',
    async () => {
      await mount.run(
        'modprobe -r nf_conntrack_netlink && mv "$(find /lib/modules -name "nf_conntrack_netlink.ko*")" /run',
      );
      const said = await mount.run(
        `filerpair mount '${mount.url}' /mnt/proxied && echo text >/mnt/proxied/by-proxy`,
      );
      expect(said).toMatch(/through the proxy, since .*nf_conntrack_netlink/);
      expect(
        await mount.run('cat /mnt/proxied/by-proxy; grep -o "^127.0.0.1:/home /mnt/proxied" /proc/mounts'),
      ).toBe('text\n127.0.0.1:/home /mnt/proxied\n');
      await mount.run('filerpair umount /mnt/proxied');
      await mount.run('while pgrep -f "main.js proxy" >/dev/null; do sleep 0.1; done');
    },
  );

  test.skipIf(way !== 'kernel')(
    'a proxy that mount has started also ends after the umount of others, with the last mount of its pair',
    async () => {
      const mounts = ['/mnt/first', '/mnt/second'];
      for (const each of mounts) await mount.run(`filerpair mount --by proxy '${mount.url}' ${each}`);
      expect(await mount.run('pgrep -fc "main.js proxy"')).toBe('1\n');
      await mount.run(`umount ${mounts[0]}; cat ${mounts[1]}/by-proxy; umount ${mounts[1]}`);
      await mount.run('while pgrep -f "main.js proxy" >/dev/null; do sleep 0.1; done');
    },
  );

  /** What a way is for. */
  async function asWanted(): Promise<void> {
    const connections = async (to: string) =>
      (await mount.run(`conntrack -L -p tcp --state ESTABLISHED 2>/dev/null | grep '${to}' || true`))
        .split('\n')
        .filter((line) => line !== '');
    if (way === 'nconnect') expect(await connections('dst=169.254.77.1 ')).toHaveLength(4);
    if (way !== 'private') return;
    const outside = await connections('^tcp .* src=169.254.78.2 ');
    expect(outside).not.toEqual([]);
    // A server sees the last of the ports.
    for (const line of outside)
      expect(Number(/dport=(\d+)[^=]*$/.exec(line.replace(/ \[.*$/, ''))?.[1])).toBeLessThan(1024);
  }

  async function nothingRuns(): Promise<void> {
    expect(await mount.run('cat /var/lib/filerpair/*/* 2>/dev/null || true')).toBe('');
    await mount.run('while pgrep -f "main.js (node|proxy)|director-main" >/dev/null; do sleep 0.1; done');
    expect(await mount.run('ip netns list; ip -brief link show type veth')).toBe('');
  }
});

/** The first block below "Mount it". */
function commandsOfReadme(): string[] {
  const readme = readFileSync(join(REPOSITORY, 'README.md'), 'utf8');
  const block = /^## Mount it\n[\s\S]*?\n\n((?: {4}.*\n)+)/m.exec(readme)![1]!;
  return block
    .trim()
    .split('\n')
    .map((line) => line.trim());
}

function report(kernel: string, figures: readonly FaultFigures[], acknowledged: number): void {
  const afterAnswerMs = spread(figures.flatMap(({ afterAnswerMs }) => afterAnswerMs ?? []));
  const gapMs = spread(figures.map((each) => each.gapMs));
  const name = way === 'kernel' ? kernel : `${kernel}, ${way}`;
  console.log(
    `${name}: gaps ${JSON.stringify(gapMs)}, ${JSON.stringify(afterAnswerMs)} after the answer, ${acknowledged} lines acknowledged`,
  );
  const before = readJsonFile<object>(FIGURES, {});
  writeJsonFile(FIGURES, { ...before, [name]: { acknowledged, gapMs, afterAnswerMs, faults: figures } });
}
