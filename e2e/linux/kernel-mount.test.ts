/**
 * The NFS client of a Linux kernel by the kernel's path: a line of fstab mounts, and writers go on while servers and directors die.
 * They see pauses, no error, and no line is lost or doubled.
 */
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, inject, test } from 'vitest';
import { REPOSITORY, readKernelGuests } from '../environment.ts';
import { step } from '../harness/step.ts';
import { readJsonFile, writeJsonFile } from '../machine/json-file.ts';
import { type Fault, type FaultFigures, KernelMount } from './kernel-mount.ts';

declare module 'vitest' {
  interface ProvidedContext {
    /** How many faults; absent: the short form. */
    kernelPathFaults?: number;
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
const AWAY: readonly Fault[] = ['kill', 'freeze', 'kill', 'powerOff', 'directorAndKill', 'directorAndFreeze'];
const BACK: readonly Fault[] = ['giveback', 'giveback', 'giveback', 'directorAndGiveback'];
const BESIDE: readonly Fault[] = ['rulesFlushed', 'nodeReplaced', 'director', 'connectionsFlushed'];

function plan(count: number): Fault[] {
  const faults: Fault[] = [];
  for (let round = 0; faults.length < count; round++) {
    faults.push(AWAY[round % AWAY.length]!, BACK[round % BACK.length]!);
    if (round % 3 === 2) faults.push(BESIDE[Math.floor(round / 3) % BESIDE.length]!);
  }
  return faults.slice(0, count);
}

const WRITERS = 2;
/** A longer wait is shown with what the director did. Ms. */
const EXPLAINED_MS = 200;
/** Figures for programs. */
const FIGURES = join(REPOSITORY, 'out/kernel-path.json');

const count = inject('kernelPathFaults');
const faults = count === undefined ? SHORT : plan(count);

describe.each(readKernelGuests())('Debian $debian', ({ debian, image }) => {
  let mount: KernelMount;
  beforeAll(async () => {
    mount = await step(`the guest boots (${debian})`, () => KernelMount.boot(image));
  });
  afterAll(() => mount?.discard());

  test(
    `writers on a kernel mount see no error in ${faults.length} faults, and no line is lost or doubled`,
    async () => {
      await step('a line of fstab mounts', () => mount.mount());
      await step('writers begin', () => mount.startWriters(WRITERS));
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

  test('a mount that mount(8) refuses leaves nothing either, and says why', async () => {
    const { code, output } = await mount.outcome(`filerpair mount -o bogus=1 '${mount.url}' /mnt/bogus`);
    expect(code).not.toBe(0);
    expect(output).toContain('mount.nfs: an incorrect mount option was specified');
    await nothingRuns();
  });

  test('without a part of the kernel the mount goes through the proxy, and says why', async () => {
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
    expect(await mount.run('pgrep -f "main.js proxy" || true')).toBe('');
  });

  test('a proxy that mount has started also ends after the umount of others, with the last mount of its pair', async () => {
    const mounts = ['/mnt/first', '/mnt/second'];
    for (const each of mounts) await mount.run(`filerpair mount --by proxy '${mount.url}' ${each}`);
    expect(await mount.run('pgrep -fc "main.js proxy"')).toBe('1\n');
    await mount.run(`umount ${mounts[0]}; cat ${mounts[1]}/by-proxy; umount ${mounts[1]}`);
    await mount.run('while pgrep -f "main.js proxy" >/dev/null; do sleep 0.1; done');
  });

  async function nothingRuns(): Promise<void> {
    expect(await mount.run('ls /var/lib/filerpair/node')).toBe('');
    await mount.run('while pgrep -f "main.js node|director-main" >/dev/null; do sleep 0.1; done');
  }
});

function report(kernel: string, figures: readonly FaultFigures[], acknowledged: number): void {
  const waits = figures.flatMap(({ afterAnswerMs }) => (afterAnswerMs === null ? [] : [afterAnswerMs]));
  waits.sort((a, b) => a - b);
  const at = (share: number) => waits[Math.min(waits.length - 1, Math.floor(waits.length * share))] ?? null;
  const afterAnswerMs = { p50: at(0.5), p99: at(0.99), max: at(1) };
  console.log(
    `${kernel}: ${JSON.stringify(afterAnswerMs)} after the answer, ${acknowledged} lines acknowledged`,
  );
  const before = readJsonFile<object>(FIGURES, {});
  writeJsonFile(FIGURES, { ...before, [kernel]: { acknowledged, afterAnswerMs, faults: figures } });
}
