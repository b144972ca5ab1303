/** Operations of the log that are not executed: refused, without room in the journal, or because something throws. */
import { constants } from 'node:os';
import { describe, expect, test, vi } from 'vitest';
import { REFUSED } from '../../system/write-gate.ts';
import { resultsToKeep } from '../journal/journal-payloads.ts';
import { PAYLOAD_SIZE_MAX } from '../journal/journal-records.ts';
import {
  begin,
  bugs,
  cache,
  changing,
  events,
  flushed,
  flushes,
  given,
  journal,
  keyOf,
  left,
  may,
  noRoomOnce,
  Operation,
  queue,
  settleAll,
  submit,
  turns,
  until,
} from './operation-log-stage.fixture.ts';

const { ENOSPC, EDQUOT, EIO } = constants.errno;

describe('an operation that is not executed', () => {
  test.each([
    ['is not allowed any more', { allowed: false }],
    ['can not succeed', { checked: false }],
  ])('because it %s is answered at once, and recorded with the next group', async (_why, traits) => {
    submit('no', traits);
    submit('yes');
    await turns();
    expect(events).toEqual(['no answered', 'yes executed']);
    expect(await left()).toEqual({ answers: ['no'], intents: ['yes'] });
    await settleAll();
    submit('third');
    await turns();
    // It is recorded once.
    expect((await left()).answers).toEqual(['no', 'yes']);
  });

  test.each(['check', 'intent'] as const)(
    'because %s throws has no answer, and is unknown again',
    async (throwsIn) => {
      submit('bad', { throwsIn });
      submit('good');
      await turns();
      expect(events).toEqual(['bad unanswered', 'good executed']);
      expect(cache.find(keyOf('bad'))).toBe(null);
      expect(bugs).toEqual([
        `CREATE ${Buffer.from(keyOf('bad'), 'latin1').toString('hex')}, before it was executed: ${throwsIn} of bad`,
      ]);
      await settleAll();
      expect((await left()).answers).toEqual(['good']);
    },
  );

  test('because it has neither failed nor been checked has no answer', async () => {
    submit('bad', { checked: false, answer: new Uint8Array(0) });
    await turns();
    expect(events).toEqual(['bad unanswered']);
    expect(bugs[0]).toContain('it has neither succeeded nor failed');
  });

  test('because its intent is too long for a record has no answer', async () => {
    const longest = PAYLOAD_SIZE_MAX - new Operation('fits', { size: 0 }).intent().length;
    submit('long', { size: longest + 4 });
    submit('fits', { size: longest });
    await turns();
    expect(events).toEqual(['long unanswered', 'fits executed']);
    expect(bugs[0]).toMatch(/its intent has \d+ bytes, a record at most 65536/);
  });

  test('is told with its status to who waits for it; without an answer that is 0', async () => {
    const told: [string, number | null, number][] = [];
    const refused: Operation[] = [
      new Operation('fails', {
        checked: false,
        answer: resultsToKeep(keyOf('fails'), Uint8Array.of(0, 0, 0, 13)),
      }),
      new Operation('throws', { throwsIn: 'check' }),
    ];
    for (const operation of refused) {
      cache.admit(operation.key, (results, status) =>
        told.push([operation.name, results?.length ?? null, status]),
      );
      queue.submit(operation);
    }
    await turns();
    expect(told).toEqual([
      ['fails', expect.any(Number), 13],
      ['throws', null, 0],
    ]);
  });

  test('because it needs space that the journal needs is refused; one that needs none is executed', async () => {
    given.shortage = 'quotaExceeded';
    submit('grows', { needsSpace: true });
    submit('frees');
    await turns();
    expect(events).toEqual(['grows refused: quotaExceeded', 'grows answered', 'frees executed']);
  });

  test('is remembered with 511 others, in memory, until a group is recorded', async () => {
    for (let i = 0; i < 514; i++) submit(`no ${i}`, { checked: false });
    await turns();
    submit('yes');
    await turns();
    const { answers } = await left();
    expect(answers).toHaveLength(512);
    expect(answers[0]).toBe('no 2');
  });
});

describe('without room for the journal', () => {
  test('the reserve is lent, and the record appended', async () => {
    vi.spyOn(journal, 'append').mockReturnValueOnce(-ENOSPC);
    given.lends = true;
    submit('a');
    await turns();
    expect(events).toEqual([`lend for ${-ENOSPC}`, 'a executed']);
    expect((await left()).intents).toEqual(['a']);
  });

  test.each([
    [-ENOSPC, 'noSpace'],
    [-EDQUOT, 'quotaExceeded'],
  ])('nothing is executed after %i: who waits is refused, and WRITEs go on', async (errno, failure) => {
    vi.spyOn(journal, 'append').mockReturnValueOnce(errno);
    submit('a');
    await new Promise<void>((resolve) => setImmediate(() => resolve()));
    queue.whenUnchanging('a', () => events.push('a unchanging'));
    await turns();
    expect(events.filter((event) => !event.startsWith('lend'))).toEqual(
      events.includes('a unchanging')
        ? expect.arrayContaining([`a refused: ${failure}`, 'a answered', 'a unchanging'])
        : [],
    );
    expect(changing.size).toBe(0);
    expect(queue.isAtRest).toBe(true);
    let idle = false;
    queue.whenIdle(() => {
      idle = true;
    });
    expect(idle).toBe(true);
    submit('b');
    await turns();
    expect(events).toContain('b executed');
  });

  test('what waited behind it is executed as soon as there is room, and who waits for the queue waits for that', async () => {
    vi.spyOn(journal, 'append').mockReturnValueOnce(-ENOSPC);
    submit('a', { touches: ['x'] });
    submit('b', { touches: ['x'] });
    queue.whenIdle(() => events.push('idle'));
    await turns();
    expect(events.slice(1)).toEqual(['a refused: noSpace', 'a answered', 'b executed']);
    await settleAll();
    expect(events.slice(4)).toEqual(['b answered', 'idle']);
  });

  test('what was answered before is recorded for good a second later, and who waits for the queue does not wait for it', async () => {
    submit('a');
    await turns();
    await flushed();
    vi.spyOn(journal, 'append').mockReturnValueOnce(-ENOSPC);
    submit('b');
    queue.whenIdle(() => events.push('idle'));
    await turns();
    expect(events.slice(2)).toEqual([`lend for ${-ENOSPC}`, 'b refused: noSpace', 'b answered', 'idle']);
    vi.advanceTimersByTime(999);
    await turns();
    expect(changing.has('a')).toBe(true);
    vi.advanceTimersByTime(1);
    await until(() => changing.size === 0);
  });

  test('beside a flush, that is waited for', async () => {
    may.overlap = true;
    submit('a');
    await turns();
    vi.spyOn(journal, 'append').mockReturnValueOnce(-ENOSPC);
    submit('b');
    queue.whenIdle(() => events.push('idle'));
    await turns();
    expect(events).toContain('b refused: noSpace');
    expect(events).not.toContain('idle');
    await flushed();
    await settleAll();
    expect(events.slice(-2)).toEqual(['a answered', 'idle']);
  });

  test('one whose refusal throws has no answer', async () => {
    vi.spyOn(journal, 'append').mockReturnValueOnce(-ENOSPC);
    submit('a', { throwsIn: 'refuse' });
    submit('b');
    await turns();
    expect(events).toContain('a unanswered');
    expect(events).toContain('b answered');
  });

  test('answers that were given are recorded with the next group, once', async () => {
    submit('a');
    await turns();
    vi.spyOn(journal, 'append').mockReturnValueOnce(-ENOSPC);
    await flushed();
    expect(events).toContain('a answered');
    expect(await left()).toEqual({ answers: [], intents: ['a'] });
    submit('b');
    await turns();
    expect(await left()).toEqual({ answers: ['a'], intents: ['b'] });
    await flushed();
    const used = journal.usedSize;
    submit('c');
    await turns();
    // An intent, and no answer again.
    expect(journal.usedSize - used).toBeLessThan(130);
  });

  test('each answer is recorded once, whether there was room for it at once or not', async () => {
    const append = journal.append.bind(journal);
    let recorded = 0;
    let isFull = false;
    vi.spyOn(journal, 'append').mockImplementation((replies, announced, contents) => {
      if (isFull) return -ENOSPC;
      recorded += replies.length;
      return append(replies, announced, contents);
    });
    submit('a');
    await settleAll();
    expect(recorded).toBe(1);
    submit('b');
    await turns();
    isFull = true;
    await flushed();
    isFull = false;
    for (const name of ['c', 'd']) {
      submit(name);
      await settleAll();
    }
    expect(recorded).toBe(4);
  });

  test('what was refused is not executed with what is recorded later, and nobody is called twice', async () => {
    submit('a', { touches: ['x'] });
    await turns();
    await flushed();
    queue.whenIdle(() => events.push('idle'));
    noRoomOnce();
    submit('b');
    queue.whenUnchanging('x', () => events.push('x unchanging'));
    await settleAll();
    submit('c');
    queue.whenIdle(() => events.push('idle again'));
    await settleAll();
    submit('d');
    await settleAll();
    expect(events).not.toContain('b executed');
    for (const event of ['idle', 'x unchanging', 'idle again'])
      expect(
        events.filter((one) => one === event),
        event,
      ).toHaveLength(1);
  });

  test('with nothing else to record, nothing is written after a group that was refused', async () => {
    const append = vi.spyOn(journal, 'append').mockReturnValueOnce(-ENOSPC);
    submit('a');
    await turns();
    vi.advanceTimersByTime(10_000);
    await turns();
    expect(append).toHaveBeenCalledTimes(1);
  });

  test('a record that fails for another reason ends the volume', async () => {
    vi.spyOn(journal, 'append').mockReturnValueOnce(-EIO);
    submit('a');
    await turns();
    expect(events).toEqual([
      `lend for ${-EIO}`,
      'failed: IoError: volume v: the journal could not be made durable: EIO',
    ]);
    submit('b');
    await settleAll();
    expect(events).toHaveLength(2);
  });

  test('nor is anything asked of the disk after that', async () => {
    given.intents = 'flush';
    begin();
    vi.spyOn(journal, 'append').mockReturnValueOnce(-EIO);
    const flush = vi.spyOn(journal, 'flush');
    submit('a');
    await turns();
    expect(events).toHaveLength(2);
    expect(flush).not.toHaveBeenCalled();
  });

  test('answers that can not be appended for another reason are not given', async () => {
    submit('a');
    await turns();
    vi.spyOn(journal, 'append').mockReturnValueOnce(-EIO);
    await flushed();
    expect(events.slice(1)).toEqual([`lend for ${-EIO}`, expect.stringContaining('failed: IoError')]);
  });

  test('a write that the gate refuses is no fault when the right is over', async () => {
    vi.spyOn(journal, 'append').mockImplementationOnce(() => {
      may.serve = false;
      return REFUSED;
    });
    submit('a');
    await turns();
    expect(events.filter((event) => !event.startsWith('lend'))).toEqual(['stopped']);
  });
});

describe('what an operation throws', () => {
  test('while it is executed: settled from its intent, completed, answered and flushed with its group', async () => {
    given.settled = {
      outcome: 'completed',
      key: keyOf('bad'),
      results: resultsToKeep(keyOf('bad'), new Uint8Array(4)),
      createdKey: 'made',
    };
    submit('bad', { throwsIn: 'apply' });
    await turns();
    expect(events).toEqual(['bad executed', 'settled bad']);
    expect(bugs[0]).toContain('while it was executed: apply of bad');
    expect(changing.has('made')).toBe(true);
    await flushed();
    expect(events).toContain('bad answered');
    expect((await left()).answers).toEqual(['bad']);
    await settleAll();
    expect(changing.size).toBe(0);
  });

  test.each(['notBegun', 'putAside'] as const)(
    'while it is executed, %s: no answer, but a record that ends its intent, and everything is flushed',
    async (outcome) => {
      given.settled = outcome === 'notBegun' ? { outcome } : { outcome, reason: 'nobody knows' };
      submit('bad', { throwsIn: 'apply' });
      submit('good');
      await turns();
      expect(flushes[0]?.files).toEqual(['all', 'good']);
      expect(changing.has('bad')).toBe(true);
      await flushed();
      expect(events.filter((event) => event.endsWith('answered'))).toEqual([
        'bad unanswered',
        'good answered',
      ]);
      expect(await left()).toEqual({ answers: ['good'], intents: [] });
      expect(bugs.some((bug) => bug.includes('put aside and may be half executed: nobody knows'))).toBe(
        outcome === 'putAside',
      );
    },
  );

  test('a listener: the others have their answers', async () => {
    cache.admit(keyOf('a'), () => {
      throw new Error('listener');
    });
    queue.submit(new Operation('a', {}));
    submit('b');
    await settleAll();
    expect(events).toContain('b answered');
    expect(bugs).toEqual(['what waited for an answer: listener']);
  });

  test('who has waited for the queue: the others are called', async () => {
    submit('a');
    await turns();
    queue.whenIdle(() => {
      throw new Error('idle');
    });
    queue.whenIdle(() => events.push('idle'));
    queue.whenUnchanging('a', () => {
      throw new Error('unchanging');
    });
    queue.whenUnchanging('a', () => events.push('unchanging'));
    await settleAll();
    expect(events.slice(-2).sort()).toEqual(['idle', 'unchanging']);
    expect(bugs.sort()).toEqual(['what waited for a change: idle', 'what waited for a change: unchanging']);
  });

  test('the queue itself: the volume has failed, and nothing more is answered', async () => {
    vi.spyOn(journal, 'append').mockImplementationOnce(() => {
      throw new Error('broken');
    });
    submit('a');
    await settleAll();
    expect(events).toEqual([
      'failed: InternalError: volume v: an exception in this server has stopped its changes: broken',
    ]);
    expect(bugs).toEqual(['the queue of changes: broken']);
  });
});
