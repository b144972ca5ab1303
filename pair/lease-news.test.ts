/** News of the Lease: what is believed of it, what has to be read again, and what a witness that went back makes of it. */
import { describe, expect, test } from 'vitest';
import { retryAfterMs } from './serving-lease.ts';
import { me, OneServer, partner, silence, stranger, timing } from './testing/one-server.ts';

const retryMs = retryAfterMs(timing);
const held = { holder: partner, epoch: 4, renewal: 8, acknowledger: me };

describe('what others write beside the ownership', () => {
  test('is no heartbeat of the holder', () => {
    const server = new OneServer().at(10).sees('filer-b', held);
    server.at(1500).sees('filer-b', { ...held, disks: 'move-7' }, 'a');
    expect(server.tick(10 + silence - 1).write).toBeUndefined();
    expect(server.tick(10 + silence).write?.ownership).toMatchObject({ holder: me, epoch: 5 });
  });
});

describe('what looks older than what is known', () => {
  const known = () => new OneServer().at(10).sees('filer-b', held).readsTheSame('filer-b').at(20);

  test.each([
    ['an earlier renewal', { ...held, renewal: 7 }],
    ['an earlier epoch', { ...held, epoch: 3, renewal: 99, holder: stranger }],
    ['nobody, from before the claim', { epoch: 4, renewal: 7 }],
  ])('is read again when the watch brings it: %s', (_, older) => {
    const server = known().sees('filer-b', older, 'old');
    expect(server.set('filer-b').seen!.record).toMatchObject(held);
    expect(server.of('readLease')).toEqual([{ kind: 'readLease', home: 'filer-b' }]);
  });

  test('is so too when it names a holder and the newer one nobody', () => {
    const server = new OneServer().sees('filer-b', { epoch: 4, renewal: 9, releasedTo: 'filer-b' });
    server.readsTheSame('filer-b').at(20).sees('filer-b', held, 'old');
    expect(server.set('filer-b').seen!.record.holder).toBeNull();
  });

  test('is believed if it names another holder at the same epoch: one of the two was claimed later', () => {
    const server = known().sees('filer-b', { ...held, holder: stranger, renewal: 5 }, 'other');
    expect(server.set('filer-b').seen!.record.holder).toBe(stranger);
  });

  test('is nothing to read again if it is of the very version that is known', () => {
    const server = known().sees('filer-b', { ...held, renewal: 7 }, '8');
    expect(server.of('readLease')).toEqual([]);
  });
});

describe('a read that failed', () => {
  test('is tried again after a pause', () => {
    const server = new OneServer().tick(0).at(50);
    server.give({ kind: 'leaseRead', home: 'filer-a', outcome: { kind: 'unknown' } });
    expect(server.of('readLease')).toEqual([]);
    expect(server.tick(50 + retryMs - 1).of('readLease')).toEqual([]);
    expect(server.tick(50 + retryMs).of('readLease')).toEqual([{ kind: 'readLease', home: 'filer-a' }]);
    // Nobody else's is read again: that answer is still to come.
    expect(server.tick(50 + 3 * retryMs).of('readLease')).toEqual([]);
  });
});

describe('a witness that went back', () => {
  const restored = { holder: partner, epoch: 3, renewal: 5 };
  /** It says so since 110. */
  const server = () =>
    new OneServer()
      .at(10)
      .sees('filer-b', held, '9')
      .readsTheSame('filer-b')
      .at(100)
      .sees('filer-b', restored, '10')
      .at(110)
      .reads('filer-b', restored, '10');

  test('is told once, and waited for once, however often it is read again', () => {
    const subject = server();
    expect(subject.traces()).toEqual([
      {
        name: 'wentBack',
        epoch: 4,
        message: 'the witness names filer-b/podB/run1 at epoch 3, but has named filer-b/podB/run1 at epoch 4',
      },
    ]);
    subject.at(1000).sees('filer-b', { ...restored, disks: 'move-7' }, '11');
    subject.at(1010).reads('filer-b', { ...restored, disks: 'move-7' }, '11');
    expect(subject.traces()).toEqual([]);
    expect(subject.tick(110 + silence - 1).write).toBeUndefined();
    expect(subject.tick(110 + silence).write).toMatchObject({
      version: '11',
      ownership: { holder: me, epoch: 5 },
    });
  });

  test('keeps what was known of the volumes, or else what it says itself', () => {
    const knows = { ...held, written: { epoch: 4, volumes: { data: 'new' } } };
    const says = { ...restored, written: { epoch: 3, volumes: { data: 'old' } } };
    const writtenAfter = (before: typeof held, after: typeof restored) =>
      new OneServer()
        .sees('filer-b', before, '9')
        .readsTheSame('filer-b')
        .sees('filer-b', after, '10')
        .reads('filer-b', after, '10')
        .set('filer-b').seen!.record.written;
    expect(writtenAfter(knows, says)).toEqual(knows.written);
    expect(writtenAfter(knows, restored)).toEqual(knows.written);
    expect(writtenAfter(held, says)).toEqual(says.written);
  });

  test('ends a claim whose outcome is unknown, and that claim’s gate', () => {
    const subject = new OneServer().sees('filer-b', held, '9').readsTheSame('filer-b').tick(silence);
    expect(subject.write?.ownership).toMatchObject({ holder: me, epoch: 5 });
    subject.at(silence + 10).written(subject.write!.token, { kind: 'unknown' }, 'filer-b');
    subject.tick(silence + 10 + retryMs);
    subject.reads('filer-b', restored, '10');
    expect(subject.set('filer-b').role.name).toBe('observer');
    expect(subject.of('withdrawGate')).toEqual([{ kind: 'withdrawGate', epoch: 5 }]);
    expect(subject.traces().map(({ name }) => name)).toEqual(['wentBack', 'claimLost']);
  });
});
