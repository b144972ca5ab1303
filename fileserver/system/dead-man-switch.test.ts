/** R10, with real processes: what counts is that no write follows the deadline. */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, expect, it } from 'vitest';
import { bootMs } from './boottime.ts';
import { DeadMansSwitch, whyNoDeadMansSwitch } from './dead-man-switch.ts';

const switchModule = new URL('./dead-man-switch.ts', import.meta.url).href;
const clockModule = new URL('./boottime.ts', import.meta.url).href;
const directory = mkdtempSync(join(tmpdir(), 'filerpair-switch-'));
const children: ChildProcess[] = [];

afterEach(() => {
  for (const child of children.splice(0)) child.kill('SIGKILL');
});

afterAll(() => {
  rmSync(directory, { recursive: true, force: true });
});

/** A process that runs `body` with the switch, the clock and fs at hand, and says lines on stdout. */
function start(body: string): {
  child: ChildProcess;
  line: () => Promise<string>;
  ended: Promise<unknown[]>;
} {
  const program = `
    import { writeSync, openSync } from 'node:fs';
    import { DeadMansSwitch } from ${JSON.stringify(switchModule)};
    import { bootMs } from ${JSON.stringify(clockModule)};
    const say = (text) => writeSync(1, text + '\\n');
    const deadMansSwitch = new DeadMansSwitch();
    ${body}`;
  const child = spawn(process.execPath, ['--input-type=module', '--eval', program], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  children.push(child);
  const lines: string[] = [];
  const waiting: ((line: string) => void)[] = [];
  let rest = '';
  child.stdout!.on('data', (data: Buffer) => {
    const parts = (rest + data.toString()).split('\n');
    rest = parts.pop()!;
    for (const part of parts) {
      const waiter = waiting.shift();
      if (waiter) waiter(part);
      else lines.push(part);
    }
  });
  return {
    child,
    ended: once(child, 'exit'),
    line: () => {
      const ready = lines.shift();
      return ready !== undefined ? Promise.resolve(ready) : new Promise((resolve) => waiting.push(resolve));
    },
  };
}

it('kills a stopped process at the deadline, before another write', async () => {
  const file = join(directory, 'writes');
  // Writes the time, again and again, and keeps moving its deadline as a confirmed server does.
  const { child, line, ended } = start(`
    const fd = openSync(${JSON.stringify(file)}, 'w');
    let rounds = 0;
    setInterval(() => {
      deadMansSwitch.arm(bootMs() + 300);
      for (let i = 0; i < 10; i++) writeSync(fd, bootMs().toFixed(3) + '\\n');
      if (++rounds === 5) say('writing');
    }, 5);`);
  expect(await line()).toBe('writing');
  child.kill('SIGSTOP');
  const stoppedAt = bootMs();
  const [, signal] = await ended;
  const diedAt = bootMs();
  expect(signal).toBe('SIGKILL');
  expect(diedAt - stoppedAt).toBeGreaterThan(200);
  const size = statSync(file).size;
  child.kill('SIGCONT');
  const lastWriteAt = Number(readFileSync(file, 'utf8').trimEnd().split('\n').at(-1));
  expect(statSync(file).size).toBe(size);
  expect(lastWriteAt).toBeLessThan(stoppedAt + 100);
});

it('kills a process that was stopped in the midst of a loop of writes, and none of them is late', async () => {
  const file = join(directory, 'late');
  const { child, line, ended } = start(`
    const fd = openSync(${JSON.stringify(file)}, 'w');
    deadMansSwitch.arm(bootMs() + 400);
    say(String(deadMansSwitch.armedFor));
    for (;;) writeSync(fd, bootMs().toFixed(3) + '\\n');`);
  const deadline = Number(await line());
  child.kill('SIGSTOP');
  expect((await ended)[1]).toBe('SIGKILL');
  const lastWriteAt = Number(readFileSync(file, 'utf8').trimEnd().split('\n').at(-1));
  expect(lastWriteAt).toBeLessThan(deadline);
});

it('kills a process whose event loop waits in system calls, on time', async () => {
  const { line, ended } = start(`
    deadMansSwitch.arm(bootMs() + 250);
    say(String(deadMansSwitch.armedFor));
    for (;;) process.hrtime.bigint();`);
  const deadline = Number(await line());
  expect((await ended)[1]).toBe('SIGKILL');
  const late = bootMs() - deadline;
  expect(late).toBeGreaterThanOrEqual(0);
  // The kernel is punctual; the news of it has to come through a busy machine.
  expect(late).toBeLessThan(1000);
});

it('spares a process that disarms in time, and one that arms for later', async () => {
  const { line, ended } = start(`
    const other = new DeadMansSwitch();
    deadMansSwitch.arm(bootMs() + 100);
    deadMansSwitch.disarm();
    other.arm(bootMs() + 100);
    other.arm(bootMs() + 60_000);
    setTimeout(() => { say('alive ' + deadMansSwitch.armedFor); process.exit(0); }, 300);`);
  expect(await line()).toBe('alive null');
  expect((await ended)[0]).toBe(0);
});

it('keeps one timer for each disk set: disarming one leaves the other armed', async () => {
  const { ended } = start(`
    const other = new DeadMansSwitch();
    deadMansSwitch.arm(bootMs() + 100);
    other.arm(bootMs() + 200);
    deadMansSwitch.disarm();
    setTimeout(() => process.exit(0), 30_000);`);
  expect((await ended)[1]).toBe('SIGKILL');
});

it('kills at once when armed for a time that has passed', async () => {
  const { ended } = start(`deadMansSwitch.arm(bootMs() - 1); for (;;) say('survived');`);
  expect((await ended)[1]).toBe('SIGKILL');
});

it('refuses PID 1, which the kernel would not kill, and says the way out', () => {
  expect(whyNoDeadMansSwitch(1)).toMatch(/PID 1.*shareProcessNamespace: true.*--init/);
  expect(whyNoDeadMansSwitch(17)).toBeNull();
});

it('refuses to be armed for 0, which the kernel would take as disarmed', () => {
  const deadMansSwitch = new DeadMansSwitch();
  for (const deadline of [0, -1, Number.NaN]) {
    expect(() => deadMansSwitch.arm(deadline)).toThrow(RangeError);
  }
  expect(deadMansSwitch.armedFor).toBeNull();
});
