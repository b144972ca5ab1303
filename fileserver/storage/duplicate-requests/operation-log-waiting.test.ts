/** Who waits for the operation log, and operations that take so long that others do not wait for them. */
import { constants } from 'node:os';
import { describe, expect, test, vi } from 'vitest';
import { resultsToKeep } from '../journal/journal-payloads.ts';
import {
  changing,
  events,
  flushed,
  given,
  journal,
  keyOf,
  left,
  may,
  noRoomOnce,
  queue,
  settleAll,
  submit,
  turns,
  until,
} from './operation-log-stage.fixture.ts';

const { ENOSPC } = constants.errno;

describe('who waits', () => {
  test('for an object that nobody changes is called at once', () => {
    queue.whenUnchanging('x', () => events.push('unchanging'));
    queue.whenIdle(() => events.push('idle'));
    expect(events).toEqual(['unchanging', 'idle']);
  });

  test('for an object is called when the answer is recorded, which is done for that alone', async () => {
    submit('a', { makes: 'made' });
    await turns();
    queue.whenUnchanging('a', () => events.push('a unchanging'));
    queue.whenUnchanging('made', () => events.push('made unchanging'));
    await turns();
    expect(events).toEqual(['a executed']);
    await flushed();
    await until(() => events.includes('made unchanging'));
    expect(events).toEqual(['a executed', 'a answered', 'a unchanging', 'made unchanging']);
    expect(changing.size).toBe(0);
  });

  test('for an object whose answer was given asks for its record', async () => {
    submit('a');
    await turns();
    await flushed();
    expect(changing.has('a')).toBe(true);
    queue.whenUnchanging('a', () => events.push('a unchanging'));
    await until(() => events.includes('a unchanging'));
  });

  test('for the queue is called when the last answer is recorded, without waiting', async () => {
    submit('a');
    await turns();
    await flushed();
    queue.whenIdle(() => events.push('idle'));
    expect(events).not.toContain('idle');
    await until(() => events.includes('idle'));
    expect(changing.size).toBe(0);
  });

  test('for the queue while nothing is there to be recorded makes nothing be written', async () => {
    submit('long', { touches: ['x'], parts: 1000 });
    await until(() => events.includes('long part'));
    await flushed();
    const append = vi.spyOn(journal, 'append');
    queue.whenUnchanging('x', () => events.push('x unchanging'));
    queue.whenIdle(() => events.push('idle'));
    await turns(3);
    expect(append).not.toHaveBeenCalled();
  });

  test('for an object while a group is gathered: what was executed is recorded, and not executed again', async () => {
    submit('a');
    await turns();
    may.gatherMs = 1_000_000;
    submit('b');
    await flushed();
    expect(events).toEqual(['a executed', 'a answered']);
    queue.whenUnchanging('a', () => events.push('a unchanging'));
    await until(() => events.includes('a unchanging'));
    may.gatherMs = 0;
    vi.advanceTimersByTime(1_000_000);
    await settleAll();
    expect(events.filter((event) => event.endsWith('executed'))).toEqual(['a executed', 'b executed']);
  });

  test('for nobody: the last answers are flushed 20 ms later', async () => {
    submit('a');
    await turns();
    await flushed();
    const flushCount = journal.flushCount;
    vi.advanceTimersByTime(19);
    await turns();
    expect(journal.flushCount).toBe(flushCount);
    vi.advanceTimersByTime(1);
    await until(() => changing.size === 0);
    expect(journal.flushCount).toBe(flushCount + 1);
  });

  test('for nobody and held: they are not, until it is resumed', async () => {
    submit('a');
    await turns();
    await flushed();
    queue.freeze();
    vi.advanceTimersByTime(10_000);
    await turns();
    expect(changing.size).toBe(1);
    queue.thaw();
    vi.advanceTimersByTime(20);
    await until(() => changing.size === 0);
  });

  test('for nobody, with nothing left to record: a hold that ends makes nothing be flushed', async () => {
    const flush = vi.spyOn(journal, 'flush');
    queue.freeze();
    queue.thaw();
    vi.advanceTimersByTime(1000);
    await turns();
    expect(flush).not.toHaveBeenCalled();
  });

  test('for the group that is being recorded: a hold that ends meanwhile does not record it twice', async () => {
    submit('before');
    await turns();
    await flushed();
    given.intents = 'writeOut';
    let recorded = (): void => {};
    vi.spyOn(journal, 'writeOut').mockImplementation((done) => {
      recorded = () => done(null);
    });
    const append = vi.spyOn(journal, 'append');
    submit('a');
    await turns();
    queue.freeze();
    queue.thaw();
    vi.advanceTimersByTime(1000);
    await turns();
    expect(append).toHaveBeenCalledTimes(1);
    recorded();
    await settleAll();
    expect(events.filter((event) => event === 'a executed')).toHaveLength(1);
  });

  test('held, what was submitted is executed and answered', async () => {
    queue.freeze();
    submit('a');
    await turns();
    await flushed();
    vi.advanceTimersByTime(10_000);
    await turns();
    expect(events).toEqual(['a executed', 'a answered']);
    expect(changing.size).toBe(1);
  });

  test('for a queue that is stopped is called, and its operations are not answered', async () => {
    submit('a');
    await turns();
    queue.whenIdle(() => events.push('idle'));
    queue.whenUnchanging('a', () => events.push('unchanging'));
    queue.stop();
    expect(events).toEqual(['a executed', 'idle']);
    queue.whenIdle(() => events.push('idle again'));
    await flushed();
    submit('b');
    await settleAll();
    expect(events).toEqual(['a executed', 'idle', 'idle again']);
  });

  test('for nobody: nothing is recorded once the queue is stopped', async () => {
    submit('a');
    await turns();
    await flushed();
    const { flushCount } = journal;
    queue.stop();
    vi.advanceTimersByTime(1000);
    await turns();
    expect([queue.phase, journal.flushCount]).toEqual(['stopped', flushCount]);
  });

  test('for an object goes on without room for its record', async () => {
    submit('a');
    await turns();
    await flushed();
    vi.spyOn(journal, 'append').mockReturnValueOnce(-ENOSPC);
    queue.whenUnchanging('a', () => events.push('a unchanging'));
    await turns();
    expect(events).toContain('a unchanging');
  });

  test('for an object, and stops the queue: nothing more is begun', async () => {
    submit('a');
    await turns();
    await flushed();
    queue.whenUnchanging('a', () => {
      events.push('unchanging');
      queue.stop();
    });
    await until(() => events.includes('unchanging'));
    submit('b');
    await turns();
    expect(events).toEqual(['a executed', 'a answered', 'unchanging']);
  });

  test('for the queue waits for the flush under way, whatever fails at once meanwhile', async () => {
    may.overlap = true;
    submit('a');
    await turns();
    submit('no', { checked: false });
    queue.whenIdle(() => events.push('idle'));
    await turns();
    expect(events).toEqual(['a executed', 'no answered']);
    await settleAll();
    expect(events.slice(2)).toEqual(['a answered', 'idle']);
  });
});

describe('an operation that takes long', () => {
  test('is half executed when others are answered, and its object is closed to them until it is recorded', async () => {
    submit('long', { touches: ['x'], parts: 100 });
    submit('short');
    await turns(10);
    await flushed();
    expect(events).toContain('short answered');
    expect(events).not.toContain('long executed');
    submit('same', { touches: ['x'] });
    submit('relies', { reliesOn: ['x'] });
    queue.whenUnchanging('x', () => events.push('x unchanging'));
    await turns(10);
    expect(queue.isAtRest).toBe(false);
    expect(changing.has('x')).toBe(true);
    expect((await left()).intents).toContain('long');
    await settleAll();
    await settleAll();
    const order = events.filter((event) => !event.endsWith('part') && !event.startsWith('settled'));
    expect(order.indexOf('long answered')).toBeLessThan(order.indexOf('same executed'));
    expect(order.indexOf('long answered')).toBeLessThan(order.indexOf('relies executed'));
    expect(order).toContain('x unchanging');
    expect(changing.size).toBe(0);
    expect(queue.isAtRest).toBe(true);
  });

  test('is completed from its own intent, and if that can not be, executed', async () => {
    submit('long', { parts: 2 });
    await settleAll();
    expect(events.filter((event) => event.endsWith('part'))).toHaveLength(2);
    expect(events.filter((event) => !event.endsWith('part'))).toEqual([
      'settled long',
      'long executed',
      'long answered',
    ]);
    given.settled = {
      outcome: 'completed',
      key: keyOf('next'),
      results: resultsToKeep(keyOf('next'), new Uint8Array(4)),
      createdKey: null,
    };
    submit('next', { parts: 2 });
    await settleAll();
    expect(events).toContain('next answered');
    expect(events).not.toContain('next executed');
  });

  test('does nothing more once the queue is stopped', async () => {
    submit('long', { parts: 1000 });
    await until(() => events.length > 2);
    queue.stop();
    const { length } = events;
    await turns();
    expect(events).toHaveLength(length);
  });

  test('keeps the queue from being idle while it is the only one', async () => {
    submit('long', { parts: 1000 });
    await until(() => events.length > 3);
    queue.whenIdle(() => events.push('idle'));
    await flushed();
    expect(queue.isAtRest).toBe(false);
    expect(events).not.toContain('idle');
  });

  test('takes its parts in turn with others', async () => {
    submit('one', { parts: 3 });
    submit('other', { parts: 3 });
    await settleAll();
    const parts = events.filter((event) => event.endsWith('part')).map((event) => event.split(' ')[0]);
    expect(parts).toEqual(['one', 'other', 'one', 'other', 'one', 'other']);
    expect(events.filter((event) => event.endsWith('answered')).sort()).toEqual([
      'one answered',
      'other answered',
    ]);
  });

  test('takes one part a turn, of all that are under way', async () => {
    submit('one', { parts: 1000 });
    await until(() => events.includes('one part'));
    await flushed();
    submit('other', { parts: 1000 });
    await until(() => events.includes('other part'));
    const { length } = events;
    for (let turn = 0; turn < 20; turn++) await new Promise((resolve) => setImmediate(resolve));
    expect(events.length - length).toBeLessThanOrEqual(22);
  });

  test('waits for nobody, and nobody for it, when its group has no room', async () => {
    submit('long', { parts: 3 });
    await until(() => events.filter((event) => event === 'long part').length === 2);
    noRoomOnce();
    queue.whenIdle(() => events.push('idle'));
    await turns();
    expect(events).not.toContain('idle');
    expect(events).not.toContain('long executed');
    await settleAll();
    expect(events.slice(-2)).toEqual(['long answered', 'idle']);
  });

  test('and throws in one part is settled once, and not executed', async () => {
    submit('long', { parts: 3, throwsIn: 'applyPart' });
    await settleAll();
    expect(events).toEqual(['settled long', 'long unanswered']);
    expect(await left()).toEqual({ answers: [], intents: [] });
  });

  test('keeps its intent when there is no room to record it once more', async () => {
    submit('long', { touches: ['x'], parts: 3 });
    await until(() => events.filter((event) => event === 'long part').length === 2);
    noRoomOnce();
    queue.whenUnchanging('x', () => events.push('x unchanging'));
    await turns();
    await settleAll();
    expect(events.indexOf('long executed')).toBeGreaterThan(0);
    expect(events.indexOf('x unchanging')).toBeGreaterThan(events.indexOf('long answered'));
    expect(events).not.toContain('long refused: noSpace');
  });
});
