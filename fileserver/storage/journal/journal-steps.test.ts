/**
 * Single steps of the journal: what is written where, and what of it is flushed or written out, when a call fails in between, and
 * at the ends of a segment.
 */

import {
  closeSync,
  existsSync,
  fstatSync,
  mkdtempSync,
  openSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  rmSync,
  statSync,
  truncateSync,
  unlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { assertEventually } from '../../../testing/assert-eventually.ts';
import { pause } from '../../../testing/pause.ts';
import { OPEN } from '../../system/open-gate.fixture.ts';
import { RefusedError, type WriteGate } from '../../system/write-gate.ts';
import type { Journal, JournalContents } from './journal.ts';
import { createJournal, journalFiles } from './journal-files.ts';
import { decodeIntentRecord, encodeIntentRecord, encodeReplyRecord } from './journal-payloads.ts';
import { PAYLOAD_SIZE_MAX, RecordType, recordSize, SEGMENT_HEADER_SIZE, typeAt } from './journal-records.ts';
import { openJournal } from './open-journal.ts';

const SEGMENT_SIZE = 512 * 1024;
const uuid = new Uint8Array(16).fill(3);
const NOTHING: JournalContents = { intents: () => [], replies: () => [] };
const key = (i: number): string => `key-${i}`.padEnd(16, '.');
const bare = (name: string): string => name.replaceAll('.', '');
const reply = (i: number, size = 8): Uint8Array => encodeReplyRecord(key(i), new Uint8Array(size).fill(i));
const intent = (i: number, size = 4): Uint8Array =>
  encodeIntentRecord({
    key: key(i),
    procedure: 8,
    identity: { uid: 1, gid: 2, groups: [3] },
    args: new Uint8Array(size),
    evidence: new Uint8Array(0),
  });

/** Calls of the kernel: 'out FILE FROM SIZE' or 'flush FILE', in their order. */
let calls: string[];
/** What ends the calls under way, where the test does that: else they end at once. */
let pending: ((failed: boolean) => void)[];
let held: boolean;
const underWay = (done: (failed: boolean) => void): void => {
  if (held) pending.push(done);
  else setImmediate(done, false);
};
const fileOf = (fd: number): string => basename(readlinkSync(`/proc/self/fd/${fd}`));
vi.mock('../../system/write-out.ts', () => ({
  writeOut: (fd: number, from: number, size: number, done: (result: number) => void) => {
    calls.push(`out ${fileOf(fd)} ${from} ${size}`);
    underWay((failed) => done(failed ? -5 : 0));
  },
}));
vi.mock(import('../../system/pool-calls.ts'), async (original) => ({
  ...(await original()),
  fdatasync: (fd, done) => {
    calls.push(`flush ${fileOf(fd)}`);
    underWay((failed) => done(failed ? new Error('no disk') : null));
  },
}));
vi.mock(import('node:fs'), async (original) => {
  const fs = await original();
  return {
    ...fs,
    fsync: ((fd, done) => {
      calls?.push(`flush whole ${fileOf(fd)}`);
      fs.fsync(fd, done);
    }) as typeof fs.fsync,
    fdatasyncSync: (fd: number) => {
      calls?.push(`flush now ${fileOf(fd)}`);
    },
  };
});

/** Bytes that a write takes at most. */
let most: number;
vi.mock(import('../../system/data-calls.ts'), async (original) => {
  const real = await original();
  return {
    ...real,
    writeJournalFrom: (to, fd, data, at) =>
      most === 0 ? 0 : real.writeJournalFrom(to, fd, data.subarray(0, most), at),
  };
});

const openFiles = (): number => readdirSync('/proc/self/fd').length;

let directory: string;
let journal: Journal;
/** Writes that the gate lets through; then it refuses. */
let writesLeft: number;
const gate: WriteGate = {
  begin: () => {
    writesLeft -= 1;
    return writesLeft >= 0;
  },
  end: () => {},
};

beforeEach(async () => {
  calls = [];
  pending = [];
  held = false;
  most = Number.POSITIVE_INFINITY;
  writesLeft = Number.POSITIVE_INFINITY;
  directory = mkdtempSync(join(tmpdir(), 'filerpair-journal-'));
  await createJournal(OPEN, directory, SEGMENT_SIZE);
  ({ journal } = await opened());
  journal.begin(NOTHING, gate);
  calls = [];
  held = true;
});
afterEach(async () => {
  for (const end of pending) end(false);
  await journal.close();
  rmSync(directory, { recursive: true, force: true });
});

/** As an owner finds it. */
async function opened(size = SEGMENT_SIZE): ReturnType<typeof openJournal> {
  held = false;
  const replay = await openJournal(directory, uuid, size);
  held = true;
  return replay;
}

async function left(): Promise<{ answers: string[]; intents: string[] }> {
  const replay = await opened();
  await replay.journal.close();
  return {
    answers: [...replay.answers.entries()].map((answer) => bare(answer.key)),
    intents: replay.intents.map((payload) => bare(decodeIntentRecord(payload).key)),
  };
}

const end = (failed = false): void => pending.shift()!(failed);

/** What has to fit behind an append, beside three times what is appended. */
const ROOM = 4096 + recordSize(PAYLOAD_SIZE_MAX) + recordSize(0);
/** Of the smallest answer. */
const SMALLEST = recordSize(20);

/** Appends until so many bytes, a multiple of 8, are in use. */
function fillTo(size: number): void {
  while (journal.usedSize < size) {
    const { usedSize } = journal;
    const rest = size - usedSize;
    const most = Math.min(8192, (Math.floor((SEGMENT_SIZE - ROOM - usedSize) / 3) >> 3) << 3);
    const next = rest <= most ? rest : Math.min(most, rest - SMALLEST);
    expect(journal.append([reply(9999, next - SMALLEST)], [], NOTHING)).toBe(0);
    expect(journal.usedSize).toBe(usedSize + next);
  }
}

describe('an append', () => {
  test('of nothing writes nothing', () => {
    const used = journal.usedSize;
    expect(journal.append([], [], NOTHING)).toBe(0);
    expect(journal.usedSize).toBe(used);
  });

  test.each([
    [0, 1],
    [8, 2],
  ])(
    '%i bytes behind the last place that has room for all that could come with it begins segment %i',
    (more, count) => {
      const payload = reply(1, 108);
      fillTo(SEGMENT_SIZE - ROOM - 3 * recordSize(payload.length) + more);
      expect(journal.append([payload], [], NOTHING)).toBe(0);
      expect(journal.compactionCount).toBe(count);
    },
  );

  test('counts the intents too', () => {
    const payload = intent(1, 100);
    const other = reply(2, 100);
    const size = recordSize(payload.length) + recordSize(other.length);
    fillTo(SEGMENT_SIZE - ROOM - 3 * size);
    expect(journal.append([other], [payload], NOTHING)).toBe(0);
    expect(journal.compactionCount).toBe(1);
    fillTo(SEGMENT_SIZE - ROOM - 3 * size + 8);
    expect(journal.append([other], [payload], NOTHING)).toBe(0);
    expect(journal.compactionCount).toBe(2);
  });

  test('that is refused has appended nothing, and may be tried again', async () => {
    const used = journal.usedSize;
    writesLeft = 0;
    expect(journal.append([reply(1)], [intent(2)], NOTHING)).toBeLessThan(0);
    expect(journal.usedSize).toBe(used);
    writesLeft = 1;
    expect(journal.append([reply(1)], [intent(2)], NOTHING)).toBe(0);
    expect(await left()).toEqual({ answers: ['key-1'], intents: ['key-2'] });
  });

  test('of which the disk takes a part at a time is whole', async () => {
    most = 50;
    expect(journal.append([reply(1, 100)], [intent(2, 300)], NOTHING)).toBe(0);
    expect(await left()).toEqual({ answers: ['key-1'], intents: ['key-2'] });
  });

  test('of which the disk takes nothing has failed', () => {
    const used = journal.usedSize;
    most = 0;
    expect(journal.append([reply(1)], [], NOTHING)).toBe(-5);
    expect(journal.usedSize).toBe(used);
  });

  test('larger than a segment is a fault of the program', () => {
    const many = Array.from({ length: 20 }, (_, i) => reply(i, 32_000));
    expect(() => journal.append(many, [], NOTHING)).toThrow('the records do not fit into a segment');
  });
});

test('the same call of two clients is two: each has its intent, and its answer', async () => {
  const of = (client: string): string => key(1) + client.padEnd(16, '.');
  const identity = { uid: 1, gid: 2, groups: [3] };
  const evidence = new Uint8Array(0);
  const intents = ['a', 'b', 'c'].map((client) =>
    encodeIntentRecord({ key: of(client), procedure: 8, identity, args: new Uint8Array(4), evidence }),
  );
  journal.append([], intents, NOTHING);
  journal.append([encodeReplyRecord(of('b'), new Uint8Array(4))], [], NOTHING);
  const replay = await opened();
  await replay.journal.close();
  expect([...replay.answers.entries()].map((answer) => answer.key)).toEqual([of('b')]);
  expect(replay.intents.map((payload) => decodeIntentRecord(payload).key)).toEqual([of('a'), of('c')]);
});

describe('a new segment', () => {
  /** Some 40 KiB of answers, an intent. */
  const kept = Array.from({ length: 40 }, (_, i) => reply(100 + i, 1000));
  const contents: JournalContents = { intents: () => [intent(7)], replies: () => kept };
  const full = SEGMENT_SIZE - ROOM - 3 * recordSize(reply(1).length) + 8;

  /** Types of the records of the file that is written to. */
  function types(sequence: bigint): number[] {
    for (const path of journalFiles(directory)) {
      const bytes = readFileSync(path);
      if (bytes.readBigUInt64LE(24) !== sequence) continue;
      const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
      const found: number[] = [];
      for (let at = SEGMENT_HEADER_SIZE; typeAt(view, at) !== 0; at += recordSize(view.getUint32(at, true)))
        found.push(typeAt(view, at));
      return found;
    }
    throw new Error('no such segment');
  }

  test('gets the intents with its first append, before all else, and answers with each', () => {
    fillTo(full);
    expect(journal.append([reply(1)], [], contents)).toBe(0);
    const { intent: announced, reply: answered, copiedReply, snapshotEnd } = RecordType;
    const copies = (count: number): number[] => Array.from({ length: count }, () => copiedReply);
    // Twice of what was appended, and 4096 bytes.
    expect(types(2n)).toEqual([announced, answered, ...copies(4)]);
    expect(journal.append([reply(2)], [], contents)).toBe(0);
    expect(types(2n)).toEqual([announced, answered, ...copies(4), answered, ...copies(5)]);
    for (let i = 0; i < 6; i++) expect(journal.append([reply(2)], [], contents)).toBe(0);
    expect(types(2n).filter((type) => type === copiedReply)).toHaveLength(39);
    expect(types(2n)).not.toContain(snapshotEnd);
    expect(journal.append([reply(2)], [], contents)).toBe(0);
    expect(types(2n).slice(-3)).toEqual([answered, copiedReply, snapshotEnd]);
    // It is whole: nothing more is copied.
    expect(journal.append([reply(3)], [], contents)).toBe(0);
    expect(types(2n).slice(-2)).toEqual([snapshotEnd, answered]);
  });

  test('that has been appended to in vain gets the intents, and each answer once, with the next append', async () => {
    fillTo(full);
    writesLeft = 1;
    expect(journal.append([reply(1)], [], contents)).toBeLessThan(0);
    expect(journal.append([reply(1)], [], contents)).toBeLessThan(0);
    writesLeft = Number.POSITIVE_INFINITY;
    for (let i = 0; i < 12; i++) expect(journal.append([reply(1)], [], contents)).toBe(0);
    const found = types(2n);
    expect(found[0]).toBe(RecordType.intent);
    expect(found.filter((type) => type === RecordType.intent)).toHaveLength(1);
    expect(found.filter((type) => type === RecordType.copiedReply)).toHaveLength(40);
    expect(journal.compactionCount).toBe(2);
    expect((await left()).intents).toEqual(['key-7']);
  });

  test('whose header is refused is not begun: the one before goes on', async () => {
    fillTo(full);
    const used = journal.usedSize;
    writesLeft = 0;
    expect(journal.append([reply(1)], [], contents)).toBeLessThan(0);
    expect([journal.usedSize, journal.compactionCount]).toEqual([used, 1]);
    writesLeft = Number.POSITIVE_INFINITY;
    expect(journal.append([reply(1)], [], contents)).toBe(0);
    expect(journal.compactionCount).toBe(2);
    expect((await left()).answers).toContain('key-1');
  });

  test('gets nothing with an append of nothing', () => {
    fillTo(full);
    expect(journal.append([reply(1)], [], contents)).toBe(0);
    const used = journal.usedSize;
    expect(journal.append([], [], contents)).toBe(0);
    expect(journal.usedSize).toBe(used);
  });

  test('takes the files in turn, and at last the first again', () => {
    const used: string[] = [];
    for (let i = 0; i < 4; i++) {
      fillTo(full);
      journal.append([reply(1)], [], NOTHING);
      calls = [];
      journal.writeOut(() => {});
      used.push(calls.at(-1)!.split(' ')[1]!);
      while (pending.length > 0) end();
    }
    expect(new Set(used.slice(0, 3)).size).toBe(3);
    expect(used[3]).toBe(used[0]);
  });
});

describe('written out and flushed', () => {
  test('is what was appended since the last time, and no more', () => {
    const done: (Error | null)[] = [];
    // The header and the end mark of the beginning.
    const begun = journal.usedSize;
    journal.append([reply(1)], [], NOTHING);
    const used = journal.usedSize;
    journal.writeOut((error) => done.push(error));
    journal.append([reply(2)], [], NOTHING);
    end();
    journal.writeOut((error) => done.push(error));
    expect(calls.map((call) => call.split(' ').slice(2))).toEqual([
      ['0', `${used}`],
      [`${used}`, `${used - begun}`],
    ]);
    end();
    expect(done).toEqual([null, null]);
    expect(journal.flushCount).toBe(0);
  });

  test('is what the segment before has, first', () => {
    journal.writeOut(() => {});
    end();
    const full = SEGMENT_SIZE - ROOM - 3 * recordSize(reply(1).length) + 8;
    const begun = journal.usedSize;
    fillTo(full);
    journal.append([reply(1)], [], NOTHING);
    calls = [];
    let done: Error | null | undefined;
    journal.writeOut((error) => {
      done = error;
    });
    expect(calls).toHaveLength(1);
    end();
    const files = calls.map((call) => call.split(' ')[1]);
    expect(new Set(files).size).toBe(2);
    expect(calls.map((call) => call.split(' ').slice(2))).toEqual([
      [`${begun}`, `${full - begun}`],
      ['0', `${journal.usedSize}`],
    ]);
    expect(done).toBe(undefined);
    end();
    expect(done).toBe(null);
    // The one before has nothing more.
    calls = [];
    journal.flush(() => {});
    expect(calls).toHaveLength(1);
    end();
    expect(calls).toHaveLength(1);
  });

  test('and it was written out: the segment before has nothing left', () => {
    const full = SEGMENT_SIZE - ROOM - 3 * recordSize(reply(1).length) + 8;
    fillTo(full);
    journal.writeOut(() => {});
    end();
    journal.append([reply(1)], [], NOTHING);
    calls = [];
    journal.flush(() => {});
    end();
    expect(calls).toHaveLength(1);
    expect(pending).toEqual([]);
  });

  test('fails with the first error', () => {
    const full = SEGMENT_SIZE - ROOM - 3 * recordSize(reply(1).length) + 8;
    fillTo(full);
    journal.append([reply(1)], [], NOTHING);
    const errors: string[] = [];
    journal.writeOut((error) => errors.push(error!.message));
    end(true);
    expect(pending).toEqual([]);
    journal.flush((error) => errors.push(error!.message));
    end(true);
    expect(errors).toEqual([expect.stringContaining('sync_file_range'), 'no disk']);
  });

  test('counts flushes, and what they took', async () => {
    journal.flush(() => {});
    expect([journal.flushCount, journal.flushMs]).toEqual([1, 0]);
    await pause(5, 'the disk takes so long');
    end();
    expect(journal.flushMs).toBeGreaterThan(3);
    expect(journal.flushMs).toBeLessThan(10_000);
  });

  test('twice as a batch, as when a flush of the device has ended; a failed one is none', () => {
    const batch = (): number => journal.batch;
    journal.flush(() => {});
    end();
    expect(batch()).toBe(2);
    journal.flushed();
    expect(batch()).toBe(3);
    journal.flush(() => {});
    end(true);
    expect(batch()).toBe(3);
  });

  test('ends before the files are closed', async () => {
    let closed = false;
    journal.flush(() => {});
    journal.writeOut(() => {});
    const closing = journal.close().then(() => {
      closed = true;
    });
    await new Promise((resolve) => setImmediate(resolve));
    expect(closed).toBe(false);
    end();
    await new Promise((resolve) => setImmediate(resolve));
    expect(closed).toBe(false);
    end();
    await closing;
    const { fds } = journal;
    expect(fds.filter((fd) => existsSync(`/proc/self/fd/${fd}`))).toEqual([]);
    // Once: by now they are somebody else's.
    const others: number[] = [];
    while (fds.some((fd) => !others.includes(fd))) others.push(openSync(directory, 'r'));
    await journal.close();
    for (const fd of others) expect(fstatSync(fd).isDirectory()).toBe(true);
    for (const fd of others) closeSync(fd);
  });
});

describe('a segment that still counts is whole on the disk before its successor is begun', () => {
  test.each([
    [0, true],
    [1, true],
    [2, false],
  ])('%i flushes since: flushed now: %s', (flushes, isFlushed) => {
    for (let i = 0; i < flushes; i++) {
      journal.flush(() => {});
      end();
    }
    calls = [];
    fillTo(SEGMENT_SIZE - ROOM - 3 * recordSize(reply(1).length) + 8);
    journal.append([reply(1)], [], NOTHING);
    expect(calls.filter((call) => call.startsWith('flush now'))).toHaveLength(isFlushed ? 1 : 0);
  });
});

describe('the beginning', () => {
  test('is refused without the right, and may be tried again in the same segment', async () => {
    await journal.close();
    const { journal: next } = await opened();
    journal = next;
    const many: JournalContents = {
      intents: () => [],
      replies: () => Array.from({ length: 10 }, (_, i) => reply(i, 60_000 / 2)),
    };
    for (const writes of [0, 1, 2]) {
      writesLeft = writes;
      expect(() => journal.begin(many, gate)).toThrow(RefusedError);
      expect(journal.usedSize).toBe(SEGMENT_SIZE);
    }
    writesLeft = Number.POSITIVE_INFINITY;
    journal.begin(many, gate);
    const { answers } = await left();
    expect(answers).toHaveLength(10);
    // Of the one before, this one and the failed tries of it.
    const sequences = journalFiles(directory).map((path) => readFileSync(path).readBigUInt64LE(24));
    expect(sequences.sort()).toEqual([0n, 1n, 2n]);
    calls = [];
    journal.writeOut(() => {});
    expect(calls).toHaveLength(1);
    expect(calls[0]!.split(' ').slice(2)).toEqual(['0', `${journal.usedSize}`]);
  });

  test('counts only when it is whole: owners that die before, however many, lose nothing', async () => {
    journal.append([reply(1)], [intent(2)], NOTHING);
    await journal.close();
    for (let owner = 0; owner < 5; owner++) {
      ({ journal } = await opened());
      const found = await left();
      expect([owner, found]).toEqual([owner, { answers: ['key-1'], intents: ['key-2'] }]);
      // Its header, and nothing else.
      writesLeft = 1;
      expect(() => journal.begin({ intents: () => [], replies: () => [reply(9)] }, gate)).toThrow(
        RefusedError,
      );
      await journal.close();
    }
    ({ journal } = await opened());
  });

  /** A journal whose second record was lost, when two more had been made durable. */
  function damage(): void {
    for (const path of journalFiles(directory)) {
      const bytes = readFileSync(path);
      const at = bytes.indexOf(key(2));
      if (at >= 0) bytes[at] = 0;
      writeFileSync(path, bytes);
    }
  }
  async function fourFlushes(): Promise<void> {
    for (let i = 1; i <= 4; i++) {
      journal.append([reply(i)], [], NOTHING);
      journal.flushed();
    }
    await journal.close();
  }

  test('makes those before superfluous: what is damaged there does not matter', async () => {
    await fourFlushes();
    ({ journal } = await opened());
    journal.begin({ intents: () => [], replies: () => [reply(5)] }, OPEN);
    await journal.close();
    damage();
    expect((await left()).answers).toEqual(['key-5']);
    ({ journal } = await opened());
  });

  test('of a damaged journal is refused when its flushes have ended, and its files are closed', async () => {
    await fourFlushes();
    damage();
    const before = openFiles();
    let refused = false;
    const opening = openJournal(directory, uuid, SEGMENT_SIZE).catch((error: Error) => {
      refused = true;
      return error.message;
    });
    await assertEventually(() => expect(pending.length).toBeGreaterThan(0));
    await pause(20, 'one that does not wait would be refused');
    expect(refused).toBe(false);
    while (pending.length > 0) end();
    expect(await opening).toContain('lost a record');
    expect(openFiles()).toBe(before);
  });

  test('that the disk refuses is told with its error', async () => {
    await journal.close();
    const { journal: next } = await opened();
    await next.close();
    expect(() => next.begin(NOTHING, OPEN)).toThrow('EBADF');
    ({ journal } = await opened());
  });

  test('and nothing can be written before', async () => {
    await journal.close();
    ({ journal } = await opened());
    const all = (): Buffer => Buffer.concat(journalFiles(directory).map((path) => readFileSync(path)));
    const before = all();
    expect(journal.append([reply(1)], [], NOTHING)).toBeLessThan(0);
    expect(all().equals(before)).toBe(true);
  });

  test('makes durable what it reads', async () => {
    journal.append([reply(1)], [], NOTHING);
    await journal.close();
    calls = [];
    const opening = openJournal(directory, uuid, SEGMENT_SIZE);
    await assertEventually(() => expect(pending.length).toBeGreaterThan(0));
    let isOpen = false;
    const noted = opening.then((replay) => {
      isOpen = true;
      journal = replay.journal;
    });
    await pause(20, 'one that does not wait would be open');
    expect(isOpen).toBe(false);
    while (pending.length > 0) end();
    await noted;
  });

  test('fails when that fails, and closes the files', async () => {
    await journal.close();
    const opening = openJournal(directory, uuid, SEGMENT_SIZE);
    await assertEventually(() => expect(pending.length).toBeGreaterThan(0));
    while (pending.length > 0) end(true);
    await expect(opening).rejects.toThrow('no disk');
    ({ journal } = await opened());
  });

  test('without one of the files is refused', async () => {
    unlinkSync(journalFiles(directory)[2]!);
    await expect(openJournal(directory, uuid, SEGMENT_SIZE)).rejects.toThrow('journal.2: ENOENT');
  });

  test('with a file that was cut short has what is left of it', async () => {
    journal.append([reply(1), reply(2)], [], NOTHING);
    const used = journal.usedSize;
    await journal.close();
    for (const path of journalFiles(directory)) truncateSync(path, used - 8);
    const replay = await opened();
    journal = replay.journal;
    expect([...replay.answers.entries()].map((answer) => bare(answer.key))).toEqual(['key-1']);
  });

  test('reads a segment that is used further than what is read at first', async () => {
    await journal.close();
    const large = 4 * 1024 * 1024;
    for (const path of journalFiles(directory)) writeFileSync(path, new Uint8Array(large));
    ({ journal } = await opened(large));
    journal.begin(NOTHING, OPEN);
    for (let i = 0; journal.usedSize < 3.5 * 1024 * 1024; i++)
      expect(journal.append([reply(i, 60_000)], [], NOTHING)).toBe(0);
    expect(journal.append([], [intent(9)], NOTHING)).toBe(0);
    await journal.close();
    const replay = await opened(large);
    journal = replay.journal;
    expect(replay.intents.map((payload) => bare(decodeIntentRecord(payload).key))).toEqual(['key-9']);
  });
});

test.each([SEGMENT_SIZE, 1024 * 1024, 2.5 * 1024 * 1024])(
  'files of %i bytes are made with that size',
  async (size) => {
    for (const path of journalFiles(directory)) unlinkSync(path);
    calls = [];
    const before = openFiles();
    await createJournal(OPEN, directory, size);
    expect(openFiles()).toBe(before);
    expect(calls).toEqual([0, 1, 2].map((i) => `flush whole journal.${i}`));
    expect(journalFiles(directory).map((path) => statSync(path).size)).toEqual([size, size, size]);
    expect(journalFiles(directory).every((path) => readFileSync(path).every((byte) => byte === 0))).toBe(
      true,
    );
  },
);
