import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { expect, it } from 'vitest';
import { bootMs } from './boottime.ts';

it('agrees with the uptime that the kernel reports, in milliseconds', () => {
  const before = bootMs();
  const uptimeMs = Number(readFileSync('/proc/uptime', 'utf8').split(' ')[0]) * 1000;
  const after = bootMs();
  // /proc/uptime is cut to 10 ms.
  expect(uptimeMs).toBeGreaterThan(before - 11);
  expect(uptimeMs).toBeLessThanOrEqual(after);
});

it('never runs backwards and resolves less than a millisecond', () => {
  let last = bootMs();
  let steps = 0;
  for (let i = 0; i < 10_000; i++) {
    const now = bootMs();
    expect(now >= last).toBe(true);
    if (now > last && now - last < 0.1) steps++;
    last = now;
  }
  expect(steps).toBeGreaterThan(5_000);
});

it('counts the time for which the machine was suspended, as CLOCK_MONOTONIC does not', (context) => {
  const module = new URL('boottime.ts', import.meta.url).href;
  const program = `const { bootMs } = await import('${module}'); console.log(bootMs() - Number(process.hrtime.bigint()) / 1e6);`;
  // In a time namespace in which it was suspended for as many seconds.
  const suspended = ['--time', '--boottime', '1000000', '--fork'];
  const { status, stdout } = spawnSync(
    'unshare',
    [...suspended, process.execPath, '--input-type=module', '-e', program],
    { encoding: 'utf8' },
  );
  if (status !== 0) context.skip('no time namespace can be made here');
  expect(Number(stdout) / 1000).toBeGreaterThan(999_000);
});
