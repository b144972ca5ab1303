import { describe, expect, test } from 'vitest';
import { type Write, WriteBrake } from './write-brake.ts';

const OWNER = 'storage/home';
const OBJECT = 'Service storage/home-a';

/** A brake whose clock stands still, and what was carried out of what was to be written. */
class Writer {
  now = 0;
  readonly brake = new WriteBrake(() => this.now);

  /** ms for which the write is held back; 0: it was carried out. */
  write(content: unknown, write: Partial<Write> = {}, version?: string): number {
    const waitMs = this.brake.take({ owner: OWNER, object: OBJECT, content, ...write });
    if (waitMs === 0) this.brake.wrote(write.object ?? OBJECT, version);
    return waitMs;
  }

  times(count: number, content: (index: number) => unknown, write?: Partial<Write>): number[] {
    return Array.from({ length: count }, (_, index) => this.write(content(index), write));
  }
}

const zeros = (count: number): number[] => Array.from({ length: count }, () => 0);
const same = () => ({ spec: { type: 'ClusterIP' } });

describe('a write that is undone', () => {
  test('is repeated 20 times at once, then once in 10 s', () => {
    const writer = new Writer();
    expect(writer.times(21, same)).toEqual(zeros(21));
    expect(writer.write(same())).toBe(10_000);
    writer.now = 9999;
    expect(writer.write(same())).toBeGreaterThan(0);
    writer.now = 10_000;
    expect(writer.write(same())).toBe(0);
    expect(writer.write(same())).toBeGreaterThan(0);
  });

  test('leaves other objects to be written', () => {
    const writer = new Writer();
    writer.times(30, same);
    expect(writer.write(same(), { object: 'Service storage/home-b' })).toBe(0);
  });

  test('counts as contested, with its fields, until it has been left alone for long enough, and for its own pair alone', () => {
    const writer = new Writer();
    writer.times(21, same, { fields: ['spec.type'] });
    expect(writer.brake.contested(OWNER)).toBe(null);
    writer.write(same(), { fields: ['spec.type'] });
    writer.write(same(), { fields: ['metadata.labels.app'] });
    expect(writer.brake.contested(OWNER)).toEqual({ objects: [`${OBJECT} (spec.type)`], calmInMs: 100_000 });
    expect(writer.brake.contested('storage/other')).toBe(null);
    writer.now = 99_999;
    expect(writer.brake.contested(OWNER)).not.toBe(null);
    writer.now = 100_000;
    expect(writer.brake.contested(OWNER)).toBe(null);
  });

  test('tells five of many fields, and how many there are', () => {
    const writer = new Writer();
    writer.times(22, same, { fields: ['a', 'b', 'c', 'd', 'e', 'f', 'g'] });
    expect(writer.brake.contested(OWNER)?.objects).toEqual([`${OBJECT} (a, b, c, d, e and 2 more)`]);
  });

  test('is one that repeats any of the last writes: two fields may be undone in turn', () => {
    const writer = new Writer();
    writer.times(23, (index) => ({ metadata: { labels: { app: String(index % 2) } } }));
    expect(writer.brake.contested(OWNER)).not.toBe(null);
  });

  test('is the same with other time stamps and another resourceVersion', () => {
    const writer = new Writer();
    writer.times(22, (index) => ({
      metadata: { resourceVersion: String(index) },
      lastTransitionTime: new Date(index * 1000).toISOString(),
      message: `since ${new Date(index * 60_000).toISOString().replace('.000', '')}`,
    }));
    expect(writer.brake.contested(OWNER)).not.toBe(null);
  });

  test('is one after which the object has a new version, as somebody had changed it', () => {
    const writer = new Writer();
    for (let version = 1; version < 60; version++) writer.write(same(), {}, String(version));
    expect(writer.brake.contested(OWNER)).not.toBe(null);
  });
});

describe('writes that nobody undoes', () => {
  test('are not contested: 90 that differ in the time of a slow start', () => {
    const writer = new Writer();
    expect(writer.times(90, (index) => ({ summary: String(index) }))).toEqual(zeros(90));
    expect(writer.brake.contested(OWNER)).toBe(null);
  });

  test('are held back when there are very many, one after a second, and people are told of no other controller', () => {
    const writer = new Writer();
    const waits = writer.times(101, (index) => ({ summary: String(index) }));
    expect(waits).toEqual([...zeros(100), 1000]);
    expect(writer.brake.contested(OWNER)).toBe(null);
    writer.now = 1000;
    expect(writer.write({ summary: 'next' })).toBe(0);
  });

  test('are held back when they are refused again and again, and nobody is blamed', () => {
    const writer = new Writer();
    const waits = Array.from({ length: 22 }, () =>
      writer.brake.take({ owner: OWNER, object: OBJECT, content: same() }),
    );
    expect(waits).toEqual([...zeros(21), 10_000]);
    expect(writer.brake.contested(OWNER)).toBe(null);
  });

  test('are those that changed nothing: the cache is late, and the API server has all of it', () => {
    const writer = new Writer();
    const waits = Array.from({ length: 60 }, () => writer.write(same(), {}, '7'));
    expect(waits).toEqual(zeros(60));
    expect(writer.brake.contested(OWNER)).toBe(null);
  });
});

describe('a status', () => {
  const status = (ready: boolean) => ({ conditions: [{ type: 'Ready', status: ready ? 'True' : 'False' }] });

  test('that is decided before the last one is seen repeats nothing that was undone', () => {
    const writer = new Writer();
    for (let version = 10; version < 40; version++)
      expect(writer.write(status(true), { tells: { seen: '9' } }, String(version))).toBe(0);
    expect(writer.brake.contested(OWNER)).toBe(null);
  });

  test('that is seen undone each time is contested', () => {
    const writer = new Writer();
    const fields = ['conditions[Ready].status'];
    for (let version = 10; version < 40; version++)
      writer.write(status(true), { fields, tells: { seen: String(version) } }, String(version));
    expect(writer.brake.contested(OWNER)?.objects).toEqual([`${OBJECT} (conditions[Ready].status)`]);
  });

  test('that comes and goes with the pair is not', () => {
    const writer = new Writer();
    for (let version = 10; version < 100; version++)
      writer.write(status(version % 2 === 0), { tells: { seen: String(version) } }, String(version));
    expect(writer.brake.contested(OWNER)).toBe(null);
  });
});

test('an object that was left alone for long may be written as often as at first', () => {
  const writer = new Writer();
  writer.times(30, same);
  writer.now = 200_000;
  expect(writer.times(20, same)).toEqual(zeros(20));
});
