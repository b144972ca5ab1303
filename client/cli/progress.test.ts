import { Writable } from 'node:stream';
import { describe, expect, it } from 'vitest';
import { Progress } from './progress.ts';
import { Terminal } from './terminal.ts';

function sink(interactive: boolean, columns = 80) {
  const written: string[] = [];
  const stream = new Writable({
    write(chunk: Buffer, _encoding, done) {
      written.push(chunk.toString());
      done();
    },
  });
  return { written, sink: new Terminal(Object.assign(stream, { isTTY: interactive, columns })) };
}

const MIB = 1024 * 1024;

describe('progress on a terminal', () => {
  it('is one line, redrawn at most ten times a second, never wider than the terminal', () => {
    for (const columns of [20, 40, 80, 200]) {
      const { written, sink: to } = sink(true, columns);
      let now = 0;
      const progress = new Progress(to, 'a-long-name-of-a-file.iso', 1000 * MIB, () => now);
      for (let i = 0; i < 1000; i++) {
        now += 5;
        progress.add(MIB);
      }
      progress.finish();
      expect(written.length).toBeLessThan(52);
      expect(written.length).toBeGreaterThan(40);
      for (const each of written) {
        // biome-ignore lint/suspicious/noControlCharactersInRegex: the sequence that erases the line.
        const visible = each.replace(/^\r\x1b\[2K/, '').replace(/\n$/, '');
        expect(visible.length, visible).toBeLessThanOrEqual(columns);
      }
    }
  });

  it('shows part, amount, speed and time left, and completes itself', () => {
    const { written, sink: to } = sink(true);
    let now = 0;
    const progress = new Progress(to, 'big.iso', 100 * MIB, () => now);
    now = 2000;
    progress.add(40 * MIB);
    expect(written[0]).toContain('big.iso  [#######...........]');
    expect(written[0]).toContain('40 %  40.0 MiB of 100 MiB  20.0 MiB/s  0:03 left');
    now = 5000;
    progress.add(60 * MIB);
    progress.finish();
    expect(written[written.length - 1]).toMatch(/100 %.*\n$/);
  });

  it('says nothing about a copy that is done at once', () => {
    const { written, sink: to } = sink(true);
    const progress = new Progress(to, 'small', 10, () => 0);
    progress.add(10);
    progress.finish();
    expect(written).toEqual([]);
  });
});

describe('progress in a log', () => {
  it('is a plain line every ten seconds and one at the end', () => {
    const { written, sink: to } = sink(false);
    let now = 0;
    const progress = new Progress(to, 'big.iso', 100 * MIB, () => now);
    for (let i = 0; i < 100; i++) {
      now += 250;
      progress.add(MIB);
    }
    progress.finish();
    expect(written).toEqual([
      'filerpair: big.iso   40 %  40.0 MiB of 100 MiB  4.0 MiB/s  0:15 left\n',
      'filerpair: big.iso   80 %  80.0 MiB of 100 MiB  4.0 MiB/s  0:05 left\n',
      'filerpair: big.iso  100 %  100 MiB of 100 MiB  4.0 MiB/s\n',
    ]);
  });

  it('of a pipe has no end in sight', () => {
    const { written, sink: to } = sink(false);
    let now = 0;
    const progress = new Progress(to, '-', null, () => now);
    now = 20_000;
    progress.add(100 * MIB);
    expect(written).toEqual(['filerpair: -  100 MiB  5.0 MiB/s\n']);
  });
});
