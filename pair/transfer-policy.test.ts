/** What may happen by itself, what speaks against a giveback, and what is remembered of those before: one clause at a time. */
import { describe, expect, test } from 'vitest';
import { incarnationOf } from './incarnation.ts';
import { emptyLease, type LeaseRecord } from './lease.ts';
import {
  askedFor,
  DEFAULT_POLICY,
  givebackVetoes,
  movedOn,
  NO_MEMORY,
  type Recipient,
  type TransferMemory,
  tookOver,
  transferVetoes,
  whyNotByItself,
} from './transfer-policy.ts';
import { type PairPolicy, TransitionCause } from './types.ts';

const me = incarnationOf('filer-a', 'podA', 'run2');
const earlier = incarnationOf('filer-a', 'podA', 'run1');
const partner = incarnationOf('filer-b', 'podB', 'run1');

interface Circumstances {
  readonly takeover?: PairPolicy['takeover'];
  readonly cause?: TransitionCause;
  readonly gave?: number | null;
}

describe('a claim that the rules allow', () => {
  const why = (
    home: string,
    record: Partial<LeaseRecord>,
    { takeover = 'Automatic', cause = TransitionCause.Silent, gave = null }: Circumstances = {},
  ): string | null =>
    whyNotByItself(
      {
        me,
        server: 'filer-a',
        partner: 'filer-b',
        timing: { leaseMs: 2000, guardMs: 500, heartbeatMs: 200 },
        policy: { ...DEFAULT_POLICY, takeover },
      },
      home,
      { ...emptyLease, holder: partner, epoch: 3, ...record },
      cause,
      gave,
    );
  const manual = { takeover: 'Manual' } as const;

  test('needs nobody without maintenance, in mode Automatic', () => {
    expect(why('filer-b', {})).toBeNull();
  });

  test('waits for an administrator in mode Manual, unless it is the home server that claims', () => {
    expect(why('filer-b', {}, manual)).toMatch(/mode Manual/);
    expect(why('filer-a', {}, manual)).toBeNull();
    expect(why('filer-b', { holder: null }, manual)).toMatch(/mode Manual/);
  });

  test('waits for the end of maintenance, which says why', () => {
    expect(why('filer-b', { maintenance: 'new switch' })).toBe('maintenance: new switch');
    expect(why('filer-a', { maintenance: '' })).toBe('maintenance: no reason given');
    expect(why('filer-b', { holder: null, maintenance: 'x' })).toBe('maintenance: x');
  });

  test.each<[string, string, Partial<LeaseRecord>, Circumstances]>([
    ['it was released to this server', 'filer-b', { holder: null, releasedTo: 'filer-a' }, {}],
    ['its own release was not taken', 'filer-b', { holder: null, releasedTo: 'filer-b' }, { gave: 3 }],
    ['it is on its home server and nobody holds it', 'filer-a', { holder: null }, {}],
    ['somebody asked', 'filer-b', {}, { cause: TransitionCause.Requested }],
    ['an earlier run of this server had it', 'filer-b', { holder: earlier }, {}],
  ])('waits for nothing when %s', (_, home, record, more) => {
    expect(why(home, { maintenance: 'x', ...record }, { ...manual, ...more })).toBeNull();
  });

  test('waits when a release of another epoch was its own', () => {
    expect(why('filer-b', { holder: null, maintenance: 'x' }, { gave: 2 })).not.toBeNull();
    expect(why('filer-b', { maintenance: 'x' }, { gave: 3 }), 'somebody holds it').not.toBeNull();
    expect(why('filer-a', { maintenance: 'x' }), 'somebody holds it').not.toBeNull();
  });
});

describe('a giveback', () => {
  const policy: PairPolicy['giveback'] = {
    mode: 'Automatic',
    afterMs: 5000,
    retries: 1,
    takeoversMax: 2,
    windowMs: 60_000,
  };
  const home: Recipient = { name: 'filer-b', steady: partner, steadySince: 10_000, cannotServe: false };
  const vetoes = (
    now: number,
    memory: Partial<TransferMemory> = {},
    to: Partial<Recipient> = {},
    record: Partial<LeaseRecord> = {},
  ): string[] =>
    givebackVetoes(
      { ...home, ...to },
      { ...NO_MEMORY, ...memory },
      { ...emptyLease, ...record },
      policy,
      now,
    ).map(({ veto }) => veto);

  test('comes when home has been steady for long enough, to the millisecond', () => {
    expect(vetoes(14_999)).toEqual(['NotStableYet']);
    expect(vetoes(15_000)).toEqual([]);
  });

  test('counts that time from the last takeover, if that was later', () => {
    expect(vetoes(15_999, { takeovers: [11_000] })).toEqual(['NotStableYet']);
    expect(vetoes(16_000, { takeovers: [11_000] })).toEqual([]);
  });

  test('is not begun while home has not been heard steadily, however long ago it was', () => {
    expect(vetoes(90_000, {}, { steady: null, steadySince: null })).toEqual([
      'PartnerNotSteady',
      'NotStableYet',
    ]);
  });

  test('is not tried again before the pause is over', () => {
    expect(vetoes(99_999, { notBefore: 100_000 })).toEqual(['NotStableYet']);
    expect(vetoes(100_000, { notBefore: 100_000 })).toEqual([]);
  });

  test('is tried once more than there are retries', () => {
    expect(vetoes(90_000, { attempts: 1 })).toEqual([]);
    expect(vetoes(90_000, { attempts: 2 })).toEqual(['RetriesUsedUp']);
  });

  test('waits when there were too many takeovers within the window', () => {
    expect(vetoes(90_000, { takeovers: [30_001, 80_000] })).toEqual(['PingPong']);
    expect(vetoes(90_000, { takeovers: [30_000, 80_000] })).toEqual([]);
  });

  test('waits for the end of maintenance', () => {
    expect(vetoes(90_000, {}, {}, { maintenance: '' })).toEqual(['Maintenance']);
  });

  test('does not happen by itself while its home server is drained; that is no veto of a request', () => {
    expect(vetoes(90_000, {}, {}, { drain: 'new kernel' })).toEqual(['Drained']);
    expect(transferVetoes(home)).toEqual([]);
  });

  test('gets a veto if the target cannot serve; such a veto a request has too', () => {
    expect(vetoes(90_000, {}, { cannotServe: true })).toEqual(['PartnerCannotServe']);
    expect(transferVetoes({ ...home, cannotServe: true })).toHaveLength(1);
    expect(transferVetoes({ ...home, steady: null })).toHaveLength(1);
    expect(transferVetoes(home)).toEqual([]);
  });

  test('that came back is tried again after twice the time, then after four times', () => {
    const gave = { epoch: 4, automatic: true };
    const once = tookOver({ ...NO_MEMORY, gave }, 5, policy, 20_000);
    expect(once).toEqual({ ...NO_MEMORY, attempts: 1, notBefore: 30_000 });
    const twice = tookOver({ ...once, gave: { epoch: 6, automatic: true } }, 7, policy, 40_000);
    expect(twice).toEqual({ ...NO_MEMORY, attempts: 2, notBefore: 60_000 });
  });

  test('that somebody asked for and that came back is no attempt', () => {
    const gave = { epoch: 4, automatic: false };
    expect(tookOver({ ...NO_MEMORY, gave }, 5, policy, 20_000)).toEqual(NO_MEMORY);
  });

  test('is forgotten by a takeover of another epoch, which is remembered', () => {
    const gave = { epoch: 4, automatic: true };
    expect(tookOver({ ...NO_MEMORY, gave }, 6, policy, 20_000)).toEqual({
      ...NO_MEMORY,
      takeovers: [20_000],
    });
    let memory = NO_MEMORY;
    for (let now = 1; now <= 20; now++) memory = tookOver(memory, 2 * now, policy, now);
    expect(memory.takeovers).toEqual([5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20]);
  });

  test('that home has completed makes the count restart; what happens elsewhere does not', () => {
    const memory = { ...NO_MEMORY, attempts: 2, notBefore: 60_000, takeovers: [1, 2] };
    expect(movedOn(memory, true)).toEqual({ ...NO_MEMORY, takeovers: [1, 2] });
    expect(movedOn(memory, false)).toEqual(memory);
    expect(movedOn({ ...NO_MEMORY, attempts: 2 }, true)).toEqual(NO_MEMORY);
    expect(movedOn({ ...NO_MEMORY, notBefore: 60_000 }, true)).toEqual(NO_MEMORY);
  });

  test('that somebody asks for closes the breaker', () => {
    expect(askedFor({ attempts: 2, notBefore: 60_000, takeovers: [1, 2], gave: null })).toEqual(NO_MEMORY);
  });
});
