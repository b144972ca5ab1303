import { expect, test } from 'vitest';
import { NFS3_OK, NFS3ERR_JUKEBOX, NFS3ERR_NOSPC } from '../../protocol/nfs3.ts';
import { XdrReader, XdrWriter } from '../../protocol/xdr.ts';
import { RecentWrites } from './recent-writes.ts';

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
  writes.ended(xid, sum, bytes, 0, bytes.length);
}

test('a WRITE is known by its XID and its sum, with what it was answered', () => {
  const writes = new RecentWrites();
  end(writes, 7, 100, NFS3_OK, 4096);
  end(writes, 8, 100, NFS3ERR_NOSPC);
  expect(writes.find(7, 101)).toBe(-1);
  expect(writes.find(9, 100)).toBe(-1);
  const at = writes.find(7, 100);
  expect(writes.statusAt(at)).toBe(NFS3_OK);
  const w = new XdrWriter();
  writes.encodeKept(w, at);
  expect([...w.written()]).toEqual([0, 0, 0x10, 0, 0, 0, 0, 2, 1, 2, 3, 4, 5, 6, 7, 8]);
  // Answered with a failure it must not succeed later either.
  expect(writes.statusAt(writes.find(8, 100))).toBe(NFS3ERR_NOSPC);
});

test('what its client was asked to send again is executed', () => {
  const writes = new RecentWrites();
  end(writes, 7, 100, NFS3ERR_JUKEBOX);
  expect(writes.find(7, 100)).toBe(-1);
});

test('copies of one that is running are told once', () => {
  const writes = new RecentWrites();
  writes.begin(7, 100);
  const at = writes.find(7, 100);
  expect(writes.isRunning(at)).toBe(true);
  const told: number[] = [];
  writes.join(at, () => told.push(1));
  writes.join(at, () => told.push(2));
  end(writes, 7, 100, NFS3_OK, 1);
  expect(writes.isRunning(at)).toBe(false);
  for (const copy of writes.waiting(7, 100)) copy(null);
  for (const copy of writes.waiting(7, 100)) copy(null);
  expect(told).toEqual([1, 2]);
});

// On the wire a client's XIDs may have their quickest byte first or last.
test.each([1, 0x1000000])(
  'the last 8,000 of a client that counts by %i are known, and the oldest go',
  (step) => {
    const writes = new RecentWrites();
    const xidOf = (index: number): number => (index * step + Math.floor((index * step) / 2 ** 32)) >>> 0;
    for (let index = 0; index < 100_000; index++) end(writes, xidOf(index), 1, NFS3_OK, index);
    let known = 0;
    for (let index = 92_000; index < 100_000; index++) if (writes.find(xidOf(index), 1) >= 0) known += 1;
    expect(known).toBeGreaterThan(7900);
    expect(writes.find(xidOf(10), 1)).toBe(-1);
  },
);

test('one that is running makes room for nobody', () => {
  const writes = new RecentWrites();
  for (let xid = 0; xid < 50_000; xid++) writes.begin(xid, 1);
  const running = Array.from({ length: 50_000 }, (_, xid) => writes.find(xid, 1)).filter((at) => at >= 0);
  expect(running).toHaveLength(4096 * 4);
  // Those that found no room are not kept, and end all the same.
  for (let xid = 0; xid < 50_000; xid++) end(writes, xid, 1, NFS3_OK);
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
