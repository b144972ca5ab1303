/** Groups of the operation log: what one holds, what makes it safe, whose volume it is, and which segment it stands in. */
import { mkdtempSync } from 'node:fs';
import { constants } from 'node:os';
import { join } from 'node:path';
import { beforeEach, describe, expect, test, vi } from 'vitest';
import { decodeIntentRecord } from '../journal/journal-payloads.ts';
import {
  begin,
  beginJournal,
  changing,
  directory,
  events,
  flushed,
  flushes,
  given,
  journal,
  LARGE_SEGMENT_SIZE,
  left,
  may,
  queue,
  settleAll,
  steps,
  submit,
  turns,
  until,
  volume,
} from './operation-log-stage.fixture.ts';

const { EIO } = constants.errno;

describe('a group', () => {
  test('is executed when its intents are in the journal, and answered when its flush has ended', async () => {
    submit('a');
    submit('b');
    expect(events).toEqual([]);
    await turns();
    expect(events).toEqual(['a executed', 'b executed']);
    expect(await left()).toEqual({ answers: [], intents: ['a', 'b'] });
    expect(queue.isAtRest).toBe(false);
    await flushed();
    expect(events.slice(2)).toEqual(['a answered', 'b answered']);
    expect((await left()).answers).toEqual(['a', 'b']);
    expect(queue.isAtRest).toBe(true);
  });

  test('passes its steps in their order', async () => {
    submit('a');
    await turns();
    expect(steps).toEqual(['beforeIntent', 'afterIntent', 'afterExecution']);
    await flushed();
    expect(steps.slice(3)).toEqual(['afterFlush', 'afterReplyRecord', 'beforeAnswer']);
  });

  test('that is stopped while its intents are recorded is not executed', async () => {
    given.intents = 'writeOut';
    begin();
    let recorded = (): void => {};
    vi.spyOn(journal, 'writeOut').mockImplementationOnce((done) => {
      recorded = () => done(null);
    });
    submit('a');
    await turns();
    queue.stop();
    recorded();
    await turns();
    expect(events).toEqual([]);
  });

  test('whose flush fails before anybody waits for it ends the volume', async () => {
    given.endsAtOnce = -EIO;
    submit('a');
    await turns();
    submit('b');
    await turns();
    expect(events).toEqual(['a executed', expect.stringContaining('failed: IoError')]);
  });

  test.each([
    ['two that touch the same', { touches: ['x'] }, { touches: ['x'] }, false],
    ['one that touches what the other relies on', { reliesOn: ['x'] }, { touches: ['x'] }, false],
    ['one that relies on what the other touches', { touches: ['x'] }, { reliesOn: ['x'] }, false],
    ['two that rely on the same', { reliesOn: ['x'] }, { reliesOn: ['x'] }, true],
    ['two that have nothing in common', { touches: ['x'], reliesOn: ['y'] }, { touches: ['z'] }, true],
  ] as const)('of %s', async (_what, one, other, together) => {
    submit('one', one);
    submit('other', other);
    await turns();
    expect(events).toEqual(together ? ['one executed', 'other executed'] : ['one executed']);
    await settleAll();
    expect(events.filter((event) => event.endsWith('answered'))).toEqual(['one answered', 'other answered']);
  });

  test('an operation that has to wait is not overtaken by one that touches the same or what it relies on', async () => {
    submit('first', { touches: ['x'] });
    submit('waits', { touches: ['x', 'y'], reliesOn: ['z'] });
    submit('same', { touches: ['y'] });
    submit('relied on', { touches: ['z'] });
    submit('free');
    await turns();
    expect(events).toEqual(['first executed', 'free executed']);
    await settleAll();
    expect(events.filter((event) => event.endsWith('executed')).slice(2)).toEqual([
      'waits executed',
      'same executed',
      'relied on executed',
    ]);
  });

  test('has 256 operations at most', async () => {
    for (let i = 0; i < 300; i++) submit(`${i}`);
    await turns();
    expect(events).toHaveLength(256);
    await settleAll();
    expect(events.filter((event) => event.endsWith('answered'))).toHaveLength(300);
  });

  test('has intents of a little more than a mebibyte at most', async () => {
    journal.close();
    await beginJournal(mkdtempSync(join(directory, 'large-')), LARGE_SEGMENT_SIZE);
    begin();
    for (let i = 0; i < 60; i++) submit(`${i}`, { size: 32_000 });
    await turns();
    // The one that goes beyond it is the last.
    expect(events).toHaveLength(Math.floor((1024 * 1024) / 32_052) + 1);
    await settleAll();
    expect(events.filter((event) => event.endsWith('answered'))).toHaveLength(60);
  });

  test('that has come while another one was recorded is executed beside that one’s flush', async () => {
    may.overlap = true;
    given.intents = 'writeOut';
    begin();
    let recorded = (): void => {};
    vi.spyOn(journal, 'writeOut').mockImplementationOnce((done) => {
      recorded = () => done(null);
    });
    submit('a');
    await turns();
    submit('b');
    await turns();
    expect(events).toEqual([]);
    recorded();
    // Its own intent is written out by the real journal.
    await until(() => events.length >= 2);
    expect(events).toEqual(['a executed', 'b executed']);
    expect(flushes).toHaveLength(1);
  });

  test('beside a flush touches nothing of the one that is flushed, nor what that relies on or has made', async () => {
    may.overlap = true;
    submit('first', { touches: ['x'], reliesOn: ['y'], makes: 'z' });
    await turns();
    submit('x', { touches: ['x'] });
    submit('y', { touches: ['y'] });
    submit('z', { touches: ['z'] });
    submit('relies', { touches: ['r'], reliesOn: ['x'] });
    submit('free');
    await turns();
    expect(events).toEqual(['first executed', 'free executed']);
    expect(flushes).toHaveLength(1);
    await flushed();
    expect(flushes).toHaveLength(1);
    expect(events).toContain('first answered');
    expect(events).not.toContain('free answered');
    await settleAll();
    expect(queue.isAtRest).toBe(true);
    expect(changing.size).toBe(0);
  });
});

describe('the right to serve, and whose the volume is, are looked at', () => {
  test('before the intents are recorded', async () => {
    submit('a');
    may.serve = false;
    await turns();
    expect(events).toEqual(['stopped']);
    expect((await left()).intents).toEqual([]);
  });

  test('before the intents are recorded: another owner', async () => {
    submit('a');
    may.own = false;
    await settleAll();
    expect(events).toEqual([]);
    expect((await left()).intents).toEqual([]);
  });

  test('before the answers are given: another owner', async () => {
    submit('a');
    await turns();
    may.own = false;
    await flushed();
    await settleAll();
    expect(events).toEqual(['a executed']);
    expect((await left()).answers).toEqual([]);
  });

  test('before the answers are recorded', async () => {
    submit('a');
    await turns();
    may.serve = false;
    await flushed();
    expect(events).toEqual(['a executed', 'stopped']);
    expect((await left()).answers).toEqual([]);
  });

  test('of a volume that has failed meanwhile', async () => {
    submit('a');
    Reflect.set(volume, 'failed', true);
    await settleAll();
    expect(events).toEqual(['stopped']);
  });
});

describe('what makes the intents safe', () => {
  test.each([
    ['flush', 1, 0],
    ['writeOut', 0, 1],
    ['unwritten', 0, 0],
  ] as const)(
    '%s: %i flushes and %i times written out, before anything is executed',
    async (way, flushCount, outCount) => {
      given.intents = way;
      begin();
      const flush = vi.spyOn(journal, 'flush');
      const writeOut = vi.spyOn(journal, 'writeOut');
      const noted = vi.spyOn(journal, 'flushed');
      submit('a');
      await until(() => events.includes('a executed'));
      expect([flush.mock.calls.length, writeOut.mock.calls.length]).toEqual([flushCount, outCount]);
      noted.mockClear();
      await flushed();
      // The flush of what was executed covers the journal, unless that has flushes of its own.
      expect(noted).toHaveBeenCalledTimes(way === 'flush' ? 0 : 1);
    },
  );

  test('an error ends the volume, and nothing is executed', async () => {
    given.intents = 'writeOut';
    begin();
    vi.spyOn(journal, 'writeOut').mockImplementationOnce((done) => done(new Error('no disk')));
    submit('a');
    await settleAll();
    expect(events).toEqual(['failed: IoError: volume v: the journal could not be made durable: no disk']);
  });

  test('after a group of which all have failed the journal is flushed all the same', async () => {
    submit('a', { changes: false });
    await turns();
    const flush = vi.spyOn(journal, 'flush');
    await flushed();
    expect(flush).toHaveBeenCalledTimes(1);
    await until(() => events.includes('a answered'));
  });

  test('and when it is stopped meanwhile, nothing is answered', async () => {
    submit('a', { changes: false });
    await turns();
    vi.spyOn(journal, 'flush').mockImplementationOnce((done) => {
      queue.stop();
      done(null);
    });
    await flushed();
    expect(events).toEqual(['a executed']);
  });

  test('and when that fails, the volume has', async () => {
    submit('a', { changes: false });
    await turns();
    vi.spyOn(journal, 'flush').mockImplementationOnce((done) => done(new Error('no disk')));
    await flushed();
    await settleAll();
    expect(events).toEqual([
      'a executed',
      'failed: IoError: volume v: the journal could not be made durable: no disk',
    ]);
  });

  test('a failed flush of what was executed ends the volume', async () => {
    submit('a');
    await flushed(-EIO);
    expect(events).toEqual([
      'a executed',
      'failed: IoError: volume v: the journal could not be made durable: errno 5 while flushing directories',
    ]);
  });
});

describe('a volume that is written through', () => {
  beforeEach(() => {
    given.writeThrough = true;
    begin();
  });

  test('answers when the answers are recorded, and groups come one after the other', async () => {
    may.overlap = true;
    submit('a');
    await turns();
    submit('b');
    await turns();
    expect(events).toEqual(['a executed']);
    flushes.shift()!.end();
    expect(events).toEqual(['a executed']);
    await until(() => events.includes('b executed'));
    expect(events).toEqual(['a executed', 'a answered', 'b executed']);
    expect(await left()).toEqual({ answers: ['a'], intents: ['b'] });
    flushes.shift()!.end();
    await until(() => events.includes('b answered'));
    expect((await left()).answers).toEqual(['a', 'b']);
    await turns();
    expect(queue.isAtRest).toBe(true);
  });

  test('begins no group beside a flush, also when a hold has ended', async () => {
    submit('long', { parts: 2 });
    submit('a');
    await turns();
    expect(flushes).toHaveLength(1);
    queue.freeze();
    queue.thaw();
    vi.advanceTimersByTime(1000);
    await turns();
    expect(events.filter((event) => event.startsWith('settled'))).toEqual([]);
    flushes.shift()!.end();
    await settleAll();
    expect(events.slice(-2)).toEqual(['long executed', 'long answered']);
  });

  test('is at rest after a group of which nothing was executed', async () => {
    const append = vi.spyOn(journal, 'append');
    submit('refused', { checked: false });
    await turns();
    expect(events).toEqual(['refused answered']);
    expect(queue.isAtRest).toBe(true);
    expect(append).not.toHaveBeenCalled();
  });

  test('answers nothing of what another owner may have seen', async () => {
    submit('a');
    await turns();
    vi.spyOn(journal, 'flush').mockImplementationOnce((done) => {
      may.own = false;
      done(null);
    });
    await flushed();
    await settleAll();
    expect(events).toEqual(['a executed']);
  });
});

describe('a new segment of the journal', () => {
  test('begun for the record of a group gets the intent of what is half executed, and none of that group', async () => {
    const seen: string[][] = [];
    const append = journal.append.bind(journal);
    vi.spyOn(journal, 'append').mockImplementation((replies, announced, contents) => {
      seen.push(
        [...contents.intents()].map((payload) => decodeIntentRecord(payload).key.replaceAll('.', '')),
      );
      return append(replies, announced, contents);
    });
    submit('long', { parts: 1 });
    await until(() => events.includes('long part'));
    submit('next');
    await settleAll();
    expect(events).toContain('next answered');
    expect(seen.slice(0, 2)).toEqual([[], ['long']]);
  });

  test('gets no intent of the group that it is begun for, also after a record without one', async () => {
    submit('a');
    await turns();
    await flushed();
    // The last answers are recorded.
    vi.advanceTimersByTime(20);
    await until(() => changing.size === 0);
    const append = journal.append.bind(journal);
    const seen: number[] = [];
    vi.spyOn(journal, 'append').mockImplementation((replies, announced, contents) => {
      seen.push([...contents.intents()].length);
      return append(replies, announced, contents);
    });
    submit('b');
    await turns();
    expect(events).toContain('b executed');
    expect(seen).toEqual([0]);
  });

  test('gets the intents of what is flushed, half executed and recorded, and no others', async () => {
    may.overlap = true;
    submit('long', { parts: 1000 });
    submit('flushed');
    await turns(6);
    expect(flushes).toHaveLength(1);
    submit('waits', { touches: ['flushed'] });
    const keys = (): string[] =>
      [...queue.intents()].map((payload) => decodeIntentRecord(payload).key.replaceAll('.', ''));
    expect(keys()).toEqual(['flushed', 'long']);
    submit('next');
    await turns(6);
    expect(events).toContain('next executed');
    expect(keys()).toEqual(['flushed', 'long', 'next']);
    await flushed();
    expect(keys()).not.toContain('flushed');
    expect([...queue.replies()]).toHaveLength(1);
  });
});
