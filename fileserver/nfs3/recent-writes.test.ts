import { expect, test } from 'vitest';
import { NFS3_OK, NFS3ERR_JUKEBOX, NFS3ERR_NOSPC } from '../../protocol/nfs3.ts';
import { XdrReader, XdrWriter } from '../../protocol/xdr.ts';
import type { ClientKey, Origin } from '../callers/origin.ts';
import { type Arrived, RecentWrites } from './recent-writes.ts';

const FIRST: Origin = { host: 1, address: 700, number: 2 };

const keyOf = (who: number): ClientKey => ({
  text: String(who).padEnd(16),
  words: Int32Array.of(0, 0, 0, who),
});

function arrived(
  xid: number,
  sum: number,
  origin: Partial<Origin> = {},
  hasOwnStamp = false,
  clientKey = keyOf(1),
): Arrived {
  return { xid, sum, caller: { origin: { ...FIRST, ...origin }, hasOwnStamp, clientKey } };
}

/** Of WRITE3resok: the status, attributes of some length, count, committed, verf. */
function results(status: number, count = 0): Uint8Array {
  const w = new XdrWriter();
  w.u32(status);
  w.u32(0);
  w.u32(0);
  if (status === NFS3_OK) {
    w.u32(count);
    w.u32(2);
    w.opaqueFixed(new Uint8Array([1, 2, 3, 4, 5, 6, 7, 8]));
  }
  return w.written().slice();
}

function end(writes: RecentWrites, xid: number, sum: number, status: number, count?: number): void {
  const bytes = results(status, count);
  writes.executed(arrived(xid, sum), status, bytes, bytes.length);
}

test('a WRITE is known by its XID and its sum, with what it was answered', () => {
  const writes = new RecentWrites();
  end(writes, 7, 100, NFS3_OK, 4096);
  end(writes, 8, 100, NFS3ERR_NOSPC);
  expect(writes.find(arrived(7, 101))).toBe(-1);
  expect(writes.find(arrived(9, 100))).toBe(-1);
  const at = writes.find(arrived(7, 100));
  expect(writes.statusAt(at)).toBe(NFS3_OK);
  const w = new XdrWriter();
  writes.encodeKept(w, at);
  expect([...w.written()]).toEqual([0, 0, 0x10, 0, 0, 0, 0, 2, 1, 2, 3, 4, 5, 6, 7, 8]);
  // Answered with a failure it must not succeed later either.
  expect(writes.statusAt(writes.find(arrived(8, 100)))).toBe(NFS3ERR_NOSPC);
});

test('what another client sends is no copy, with whatever stamp, port and connection', () => {
  const writes = new RecentWrites();
  end(writes, 7, 100, NFS3_OK);
  for (const hasOwnStamp of [false, true])
    expect(writes.find(arrived(7, 100, {}, hasOwnStamp, keyOf(2)))).toBe(-1);
  expect(writes.find(arrived(7, 100))).not.toBe(-1);
});

test('what its client was asked to send again is executed', () => {
  const writes = new RecentWrites();
  end(writes, 7, 100, NFS3ERR_JUKEBOX);
  expect(writes.find(arrived(7, 100))).toBe(-1);
});

test('copies of one that is running are told once', () => {
  const writes = new RecentWrites();
  writes.begin(arrived(7, 100));
  const at = writes.find(arrived(7, 100));
  expect(writes.isRunning(at)).toBe(true);
  const told: number[] = [];
  writes.join(at, () => told.push(1));
  writes.join(at, () => told.push(2));
  for (const copy of writes.ended(arrived(7, 100), NFS3_OK, results(NFS3_OK, 1))) copy(null, 0, 0);
  expect(writes.isRunning(at)).toBe(false);
  for (const copy of writes.ended(arrived(7, 100), NFS3_OK, results(NFS3_OK, 1))) copy(null, 0, 0);
  expect(told).toEqual([1, 2]);
});

test.each([
  ['was not executed', (writes: RecentWrites) => writes.forget(arrived(7, 100))],
  [
    'is to be sent again',
    (writes: RecentWrites) => writes.ended(arrived(7, 100), NFS3ERR_JUKEBOX, results(NFS3ERR_JUKEBOX)),
  ],
])('copies of one that %s are told with it, and the next is executed', (_what, end) => {
  const writes = new RecentWrites();
  writes.begin(arrived(7, 100));
  writes.join(writes.find(arrived(7, 100)), () => {});
  expect(end(writes)).toHaveLength(1);
  expect(writes.find(arrived(7, 100))).toBe(-1);
});

test.each<[string, boolean, Partial<Origin>, boolean]>([
  ['by the same connection', true, {}, false],
  ['by an older one, whatever its port', true, { number: 1, address: 701 }, false],
  ['by a newer one from the same port', true, { number: 3 }, false],
  ['by a newer one, with a stamp of its own', true, { number: 3, address: 701 }, true],
  ['by a newer one from another port', false, { number: 3, address: 701 }, false],
  ['by an older one of another host', false, { number: 1, host: 2, address: 702 }, false],
  ['by a newer one of another host', false, { number: 3, host: 2, address: 702 }, false],
])('what looks the same and comes %s: a copy: %s', (_how, isCopy, origin, hasOwnStamp) => {
  const writes = new RecentWrites();
  end(writes, 7, 100, NFS3_OK, 1);
  const again = arrived(7, 100, origin, hasOwnStamp);
  expect(writes.find(again) >= 0).toBe(isCopy);
  // Each is one of its own from then on.
  const bytes = results(NFS3ERR_NOSPC);
  if (!isCopy) writes.executed(again, NFS3ERR_NOSPC, bytes, bytes.length);
  expect(writes.statusAt(writes.find(arrived(7, 100)))).toBe(NFS3_OK);
});

test('copies of one that is running are not told what another one was that looks the same', () => {
  const writes = new RecentWrites();
  const other = arrived(7, 100, { number: 3, address: 701 });
  writes.begin(arrived(7, 100));
  const told: string[] = [];
  writes.join(writes.find(arrived(7, 100)), () => told.push('first'));
  writes.begin(other);
  expect(writes.ended(other, NFS3_OK, results(NFS3_OK, 1))).toEqual([]);
  for (const copy of writes.ended(arrived(7, 100), NFS3_OK, results(NFS3_OK, 1))) copy(null, 0, 0);
  expect(told).toEqual(['first']);
});

// On the wire a client's XIDs may have their quickest byte first or last.
test.each([1, 0x1000000])(
  'the last 8,000 of a client that counts by %i are known, and the oldest go',
  (step) => {
    const writes = new RecentWrites();
    const xidOf = (index: number): number => (index * step + Math.floor((index * step) / 2 ** 32)) >>> 0;
    for (let index = 0; index < 100_000; index++) end(writes, xidOf(index), 1, NFS3_OK, index);
    let known = 0;
    for (let index = 92_000; index < 100_000; index++)
      if (writes.find(arrived(xidOf(index), 1)) >= 0) known += 1;
    expect(known).toBeGreaterThan(7900);
    expect(writes.find(arrived(xidOf(10), 1))).toBe(-1);
  },
);

test('the first place is one like the others', () => {
  const writes = new RecentWrites();
  writes.begin(arrived(0, 1));
  expect(writes.find(arrived(0, 1))).toBe(0);
  writes.forget(arrived(0, 1));
  expect(writes.find(arrived(0, 1))).toBe(-1);
});

test('one that is running makes room for nobody', () => {
  const writes = new RecentWrites();
  for (let xid = 0; xid < 50_000; xid++) writes.begin(arrived(xid, 1));
  expect(writes.find(arrived(0, 1)), 'the first').not.toBe(-1);
  const running = Array.from({ length: 50_000 }, (_, xid) => writes.find(arrived(xid, 1))).filter(
    (at) => at >= 0,
  );
  expect(running).toHaveLength(4096 * 4);
  // Those that found no room are not kept, and end all the same.
  for (let xid = 0; xid < 50_000; xid++) writes.ended(arrived(xid, 1), NFS3_OK, results(NFS3_OK));
  expect(running.every((at) => !writes.isRunning(at))).toBe(true);
});

test('the sum covers the whole head and the first bytes of the data, and none behind them', () => {
  const writes = new RecentWrites();
  const bytes = new Uint8Array(4000).map((_, index) => index * 7);
  const sum = (changed: number | null): number => {
    const copy = bytes.slice();
    if (changed !== null) copy[changed]! ^= 1;
    return writes.sumOf(new XdrReader(copy), 4, 104);
  };
  const own = sum(null);
  for (let at = 4; at < 104 + 256; at++) expect(sum(at)).not.toBe(own);
  expect(sum(3)).toBe(own);
  expect(sum(104 + 256)).toBe(own);
  expect(new RecentWrites().sumOf(new XdrReader(bytes), 4, 104)).not.toBe(own);
});
