import { spawn } from 'node:child_process';
import { once } from 'node:events';
import {
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, it, vi } from 'vitest';
import { type Incarnation, incarnationOf } from '../../pair/incarnation.ts';
import { claimed, emptyLease, type LeaseSighting, released, renewed } from '../../pair/lease.ts';
import { assertEventually } from '../../testing/assert-eventually.ts';
import { pause } from '../../testing/pause.ts';
import { createLog } from '../logging/log.ts';
import { reportErrorsTo } from '../system/turns.ts';
import { EmbeddedWitness } from './embedded.ts';
import { changeLease } from './embedded-lease.fixture.ts';
import { VersionedFile } from './versioned-file.ts';

const log = createLog({ level: 'error', format: 'text' }, {});
const a = incarnationOf('filer-a', 'machine', '1');
const b = incarnationOf('filer-b', 'machine', '1');
let directory = '';
const witnesses: EmbeddedWitness[] = [];

beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'filerpair-witness-'));
});
afterEach(async () => {
  vi.restoreAllMocks();
  for (const witness of witnesses.splice(0)) await witness.close(1000);
  rmSync(directory, { recursive: true, force: true });
});

/** pollMs: default is so rarely that what is seen is what file events tell. */
function witness(pollMs = 3_600_000): EmbeddedWitness {
  const one = new EmbeddedWitness({ directory, callMs: 1000, pollMs, log });
  witnesses.push(one);
  return one;
}

async function seenBy(one: EmbeddedWitness): Promise<LeaseSighting> {
  const outcome = await one.read('filer-a');
  if (outcome.kind !== 'found') throw new Error('not found');
  return outcome.sighting;
}

it("makes the first Lease, nobody's at epoch 0, once even if everyone asks at the same time", async () => {
  const seen = await Promise.all(Array.from({ length: 8 }, () => seenBy(witness())));
  for (const one of seen) expect(one).toEqual({ version: '1', record: emptyLease });
});

it('lets exactly one of many claims through, and tells the others for sure that they lost', async () => {
  const first = await seenBy(witness());
  const outcomes = await Promise.all(
    Array.from({ length: 10 }, (_, run) => {
      const me = incarnationOf('filer-a', 'machine', String(run));
      return witness().compareAndSwap('filer-a', first.version, claimed(first.record, me, null, 2500));
    }),
  );
  expect(outcomes.filter((outcome) => outcome.kind === 'applied')).toHaveLength(1);
  expect(outcomes.filter((outcome) => outcome.kind === 'conflict')).toHaveLength(9);
  expect((await seenBy(witness())).record.epoch).toBe(1);
});

it('lets exactly one through when whole processes race', async () => {
  const first = await seenBy(witness());
  const program = `
    import { EmbeddedWitness } from ${JSON.stringify(new URL('./embedded.ts', import.meta.url).href)};
    import { createLog } from ${JSON.stringify(new URL('../logging/log.ts', import.meta.url).href)};
    const log = createLog({ level: 'error', format: 'text' }, {});
    const witness = new EmbeddedWitness({ directory: ${JSON.stringify(directory)}, callMs: 5000, log });
    const ownership = { holder: 'filer-b/p/' + process.pid, epoch: 1, acknowledger: null, renewal: 1, releasedTo: null };
    const outcome = await witness.compareAndSwap('filer-a', '${first.version}', ownership);
    console.log(outcome.kind);`;
  const run = () => spawn(process.execPath, ['--input-type=module', '--eval', program]);
  const children = [run(), run(), run(), run()];
  const outputs = await Promise.all(
    children.map(async (child) => {
      let output = '';
      for await (const chunk of child.stdout) output += chunk;
      return output.trim();
    }),
  );
  expect(outputs.toSorted()).toEqual(['applied', 'conflict', 'conflict', 'conflict']);
  const { record } = await seenBy(witness());
  expect(record.epoch).toBe(1);
  expect(record.renewal).toBe(1);
});

it('keeps what others put beside the ownership, and does not take it for a heartbeat', async () => {
  const one = witness();
  const first = await seenBy(one);
  const proof = { incarnation: b, epoch: 0, evidence: 'seen terminated' };
  const request = { id: 'r1', kind: 'giveback', reason: 'test' };
  const file = { version: 2, ...first.record, deathProof: proof, request };
  writeFileSync(join(directory, 'filer-a.lease-2'), JSON.stringify(file));
  expect((await one.compareAndSwap('filer-a', '1', claimed(first.record, a, null, 2500))).kind).toBe(
    'conflict',
  );
  const seen = await seenBy(one);
  const outcome = await one.compareAndSwap('filer-a', seen.version, claimed(seen.record, a, b, 2500));
  expect(outcome).toEqual({
    kind: 'applied',
    sighting: {
      version: '3',
      record: {
        holder: a,
        epoch: 1,
        acknowledger: b,
        renewal: 1,
        releasedTo: null,
        claimAfterMs: 2500,
        volumesAhead: null,
        deathProof: proof,
        request,
        maintenance: null,
      },
    },
  });
});

it('tells watchers of every change', async () => {
  const [mine, yours] = [witness(), witness()];
  const holders: (Incarnation | null)[] = [];
  yours.watch('filer-a', (sighting) => holders.push(sighting.record.holder));
  await assertEventually(() => expect(holders).toEqual([null]));
  let seen = await seenBy(mine);
  for (const ownership of [
    claimed(seen.record, a, null, 2500),
    released({ ...seen.record, epoch: 1 }, 'filer-b'),
  ]) {
    const outcome = await mine.compareAndSwap('filer-a', seen.version, { ...ownership });
    if (outcome.kind !== 'applied') throw new Error(outcome.kind);
    seen = outcome.sighting;
    await assertEventually(() => expect(holders.at(-1)).toBe(ownership.holder));
  }
});

it('a change that comes while the Lease is read is read after it, and then it is quiet', async () => {
  const holders: (Incarnation | null)[] = [];
  witness().watch('filer-a', (sighting) => holders.push(sighting.record.holder));
  await assertEventually(() => expect(holders).toEqual([null]));
  const begun = Promise.withResolvers<void>();
  const end = Promise.withResolvers<void>();
  const { newest } = VersionedFile.prototype;
  const reads = vi.spyOn(VersionedFile.prototype, 'newest');
  reads.mockImplementationOnce(async function (this: VersionedFile) {
    const found = await newest.call(this);
    begun.resolve();
    await end.promise;
    return found;
  });
  changeLease(directory, 'filer-a', { holder: a, epoch: 1 });
  await begun.promise;
  changeLease(directory, 'filer-a', { holder: b, epoch: 2 });
  await pause(50, 'the file event has come');
  end.resolve();
  await assertEventually(() => expect(holders).toEqual([null, a, b]));
  // Reads come to an end.
  await assertEventually(async () => {
    const { length } = reads.mock.calls;
    await pause(100, 'another read would begin');
    expect(reads.mock.calls).toHaveLength(length);
  });
  expect(holders).toEqual([null, a, b]);
});

it('reads also without a file event, and tells no Lease twice', async () => {
  const holders: (Incarnation | null)[] = [];
  witness(20).watch('filer-a', (sighting) => holders.push(sighting.record.holder));
  await assertEventually(() => expect(holders).toEqual([null]));
  const reads = vi.spyOn(VersionedFile.prototype, 'newest');
  await assertEventually(() => expect(reads.mock.calls.length).toBeGreaterThan(5));
  expect(holders).toEqual([null]);
});

it('reads at a file event of its own Lease alone, also in a directory that is made later', async () => {
  directory = join(directory, 'later');
  const one = witness();
  const holders: (Incarnation | null)[] = [];
  one.watch('filer-a', (sighting) => holders.push(sighting.record.holder));
  one.watch('filer-b', () => {});
  await assertEventually(() => expect(holders).toEqual([null]));
  await pause(200, 'what was read last is read');
  const reads = vi.spyOn(VersionedFile.prototype, 'newest');
  writeFileSync(join(directory, 'filer-c.lease-1'), '');
  await pause(100, 'a read would begin');
  expect(reads).not.toHaveBeenCalled();
  changeLease(directory, 'filer-a', { holder: a, epoch: 1 });
  await assertEventually(() => expect(holders).toEqual([null, a]));
});

it('watches its directory once for all Leases, and no more when it is closed, not even if that comes first', async () => {
  const watches = (): number =>
    process.getActiveResourcesInfo().filter((name) => name.startsWith('FSEvent')).length;
  // Those of tests before this one are closed.
  await assertEventually(() => expect(watches()).toBe(0));
  const one = witness();
  const seen: string[] = [];
  for (const home of ['filer-a', 'filer-b']) one.watch(home, () => seen.push(home));
  await assertEventually(() => expect(seen.toSorted()).toEqual(['filer-a', 'filer-b']));
  await assertEventually(() => expect(watches()).toBe(1));
  await one.close(1000);
  await assertEventually(() => expect(watches()).toBe(0));
  const other = witness();
  other.watch('filer-a', () => seen.push('again'));
  await other.close(1000);
  await assertEventually(() => expect(seen).toContain('again'));
  await pause(50, 'a watch would begin');
  expect(watches()).toBe(0);
});

it('tells nothing more once it is closed', async () => {
  const one = witness(20);
  const holders: (Incarnation | null)[] = [];
  one.watch('filer-a', (sighting) => holders.push(sighting.record.holder));
  await assertEventually(() => expect(holders).toEqual([null]));
  await one.close(1000);
  // What was being read then has been.
  await pause(200, 'what was being read then has been');
  changeLease(directory, 'filer-a', { holder: a, epoch: 1 });
  await pause(200, 'the change would be read');
  expect(holders).toEqual([null]);
});

it('reads without writing where there is a Lease', async () => {
  await seenBy(witness());
  const add = vi.spyOn(VersionedFile.prototype, 'add');
  await seenBy(witness());
  expect(add).not.toHaveBeenCalled();
});

it('does not say that a write was applied of which it is not known', async () => {
  const one = witness();
  const { version, record } = await seenBy(one);
  vi.spyOn(VersionedFile.prototype, 'add').mockResolvedValueOnce('unknown');
  const outcome = await one.compareAndSwap('filer-a', version, claimed(record, a, null, 2500));
  expect(outcome).toEqual({ kind: 'unknown' });
});

it('says of notes whether they have been written', async () => {
  directory = join(directory, 'later');
  const one = witness();
  expect(await one.noted('filer-a'), 'there are none').toBe(true);
  one.annotate('filer-a', { secondaryPortOpen: 1 });
  expect(await one.noted('filer-a')).toBe(false);
  await seenBy(one);
  one.annotate('filer-a', { secondaryPortOpen: 1 });
  expect(await one.noted('filer-a')).toBe(true);
  expect(JSON.parse(readFileSync(join(directory, 'filer-a.notes'), 'utf8'))).toEqual({
    secondaryPortOpen: 1,
  });
});

it('tries to note maintenance for the time of a call while others write the Lease, and then gives up', async () => {
  const one = witness();
  await seenBy(one);
  const add = vi.spyOn(VersionedFile.prototype, 'add');
  add.mockResolvedValueOnce('taken').mockResolvedValueOnce('taken');
  one.annotate('filer-a', { maintenance: 'new switch' });
  expect(await one.noted('filer-a')).toBe(true);
  expect((await seenBy(one)).record.maintenance).toBe('new switch');
  add.mockResolvedValue('taken');
  add.mockClear();
  one.annotate('filer-a', { maintenance: null });
  expect(await one.noted('filer-a')).toBe(false);
  expect(add.mock.calls.length).toBeGreaterThan(2);
});

it('a freeze that does not say that it is over goes on', async () => {
  const one = witness();
  expect((await seenBy(one)).record).not.toHaveProperty('freeze');
  changeLease(directory, 'filer-a', JSON.parse('{"standstill":{"id":"s","epoch":1,"msMax":10}}'));
  expect((await seenBy(one)).record.freeze).toEqual({ id: 's', epoch: 1, msMax: 10, over: false });
});

it("says unknown, never nobody, to a file of another version's name", async () => {
  const one = witness();
  await seenBy(one);
  writeFileSync(join(directory, 'filer-a.lease-2'), JSON.stringify({ ...emptyLease, version: 3 }));
  expect(await one.read('filer-a')).toEqual({ kind: 'unknown' });
});

it('says unknown, never nobody, to a Lease that cannot be understood', async () => {
  const one = witness();
  await seenBy(one);
  for (const text of ['', '{', '{"version":1}', '{"version":1,"holder":7}']) {
    writeFileSync(join(directory, 'filer-a.lease-1'), text);
    expect(await one.read('filer-a')).toEqual({ kind: 'unknown' });
  }
});

it('is not held up by a process that is frozen at any point of a write', async () => {
  const first = await seenBy(witness());
  const program = `
    import { EmbeddedWitness } from ${JSON.stringify(new URL('./embedded.ts', import.meta.url).href)};
    import { createLog } from ${JSON.stringify(new URL('../logging/log.ts', import.meta.url).href)};
    const log = createLog({ level: 'error', format: 'text' }, {});
    const witness = new EmbeddedWitness({ directory: ${JSON.stringify(directory)}, callMs: 5000, log });
    let ownership = { holder: 'filer-b/p/1', epoch: 1, acknowledger: null, renewal: 1, releasedTo: null };
    for (;;) {
      const { sighting } = await witness.read('filer-a');
      await witness.compareAndSwap('filer-a', sighting.version, { ...sighting.record, renewal: sighting.record.renewal + 1 });
      console.log('written');
    }`;
  const child = spawn(process.execPath, ['--input-type=module', '--eval', program]);
  try {
    await once(child.stdout, 'data');
    // As many moments of its loop as there are turns.
    for (let turn = 0; turn < 100; turn++) {
      child.kill('SIGSTOP');
      const one = witness();
      const seen = await seenBy(one);
      const outcome = await one.compareAndSwap('filer-a', seen.version, renewed(seen.record, a));
      expect(outcome.kind).toBe('applied');
      child.kill('SIGCONT');
      await pause(turn % 7, 'at any point of its loop');
    }
  } finally {
    child.kill('SIGKILL');
  }
  expect(Number((await seenBy(witness())).version)).toBeGreaterThan(Number(first.version) + 100);
});

it('does not know whether it wrote where others came further than a version is kept', async () => {
  const file = new VersionedFile(directory, 'late');
  for (let number = 1; number <= 30; number++) expect(await file.add(number, `${number}`)).toBe('added');
  expect(readdirSync(directory)).toHaveLength(16);
  expect(await file.add(30, 'again')).toBe('taken');
  expect(await file.add(7, 'late')).toBe('unknown');
  expect(await file.newest()).toEqual({ number: 30, text: '30' });
});

it('a version that is removed while it is read is not the newest; one that cannot be read is an error', async () => {
  const file = new VersionedFile(directory, 'read');
  expect(await new VersionedFile(join(directory, 'absent'), 'read').newest()).toBeNull();
  await file.add(1, 'one');
  symlinkSync('nothing', join(directory, 'read-2'));
  const reading = file.newest();
  await pause(20, 'the read has begun');
  rmSync(join(directory, 'read-2'));
  expect(await reading).toEqual({ number: 1, text: 'one' });
  mkdirSync(join(directory, 'read-3'));
  await expect(file.newest()).rejects.toThrow('EISDIR');
  writeFileSync(join(directory, 'no-directory'), '');
  await expect(new VersionedFile(join(directory, 'no-directory'), 'read').newest()).rejects.toThrow(
    'ENOTDIR',
  );
});

it('of a version that cannot be written it does not say that another process has written it', async () => {
  await expect(new VersionedFile(join(directory, 'absent'), 'x').add(1, '')).rejects.toThrow('ENOENT');
  const longest = 'x'.repeat(255 - '.-1234567-123.tmp'.length);
  // The temporary name has room, that of the version with a long number has none.
  await expect(new VersionedFile(directory, longest).add(10 ** 20, '')).rejects.toThrow('ENAMETOOLONG');
});

it('keeps no descriptor, and of versions that are put as many as of others', async () => {
  const file = new VersionedFile(directory, 'put');
  await file.put(1, '');
  const open = readdirSync('/proc/self/fd').length;
  for (let number = 1; number <= 20; number++) await file.put(number, `${number}`);
  expect(readdirSync('/proc/self/fd')).toHaveLength(open);
  expect(readdirSync(directory)).toHaveLength(16);
});

it('writes history for changes of owner and acknowledger, not for renewals, and leaves no litter', async () => {
  const one = witness();
  let seen = await seenBy(one);
  for (const change of [
    (s: LeaseSighting) => claimed(s.record, a, null, 2500),
    (s: LeaseSighting) => renewed(s.record, null),
    (s: LeaseSighting) => renewed(s.record, b),
    (s: LeaseSighting) => released(s.record, 'filer-b'),
  ]) {
    const outcome = await one.compareAndSwap('filer-a', seen.version, change(seen));
    if (outcome.kind !== 'applied') throw new Error(outcome.kind);
    seen = outcome.sighting;
  }
  one.annotate('filer-a', { secondaryPortOpen: 1 });
  one.annotate('filer-a', { requestResult: { id: 'r1', result: 'done', message: 'ok' } });
  await one.close(1000);
  const history = readFileSync(join(directory, 'filer-a.history'), 'utf8').trim().split('\n');
  expect(history.map((line) => JSON.parse(line))).toMatchObject([
    { version: '2', holder: a, epoch: 1, acknowledger: null },
    { version: '4', holder: a, epoch: 1, acknowledger: b },
    { version: '5', holder: null, epoch: 1, releasedTo: 'filer-b' },
  ]);
  expect(readdirSync(directory).sort()).toEqual([
    'filer-a.history',
    'filer-a.lease-1',
    'filer-a.lease-2',
    'filer-a.lease-3',
    'filer-a.lease-4',
    'filer-a.lease-5',
    'filer-a.notes',
  ]);
  expect(JSON.parse(readFileSync(join(directory, 'filer-a.notes'), 'utf8'))).toEqual({
    secondaryPortOpen: 1,
    requestResult: { id: 'r1', result: 'done', message: 'ok' },
  });
});

it('keeps maintenance beside the ownership, where every server sees it', async () => {
  const one = witness();
  const first = await seenBy(one);
  one.annotate('filer-a', { maintenance: 'new switch' });
  await one.close(1000);
  const other = witness();
  expect((await seenBy(other)).record.maintenance).toBe('new switch');
  // A write of a server that has not seen it yet loses, and what it writes afterwards leaves it alone.
  expect(
    (await other.compareAndSwap('filer-a', first.version, claimed(first.record, a, null, 2500))).kind,
  ).toBe('conflict');
  const seen = await seenBy(other);
  const outcome = await other.compareAndSwap('filer-a', seen.version, claimed(seen.record, a, null, 2500));
  expect(outcome).toMatchObject({ kind: 'applied', sighting: { record: { maintenance: 'new switch' } } });
});

it('keeps what was written on the volumes, which is no change of the Lease and is never lowered', async () => {
  const one = witness();
  const first = await seenBy(one);
  const second = { epoch: 2, volumes: { data: 'uuid' } };
  one.annotate('filer-a', { written: second });
  one.annotate('filer-a', { written: { epoch: 1, volumes: { data: 'other' } } });
  await one.close(1000);
  let seen = await seenBy(witness());
  expect(seen.version).toBe(first.version);
  expect(seen.record.written, 'the Lease has not been at that epoch').toBeUndefined();
  for (const epoch of [1, 2]) {
    const outcome = await witness().compareAndSwap(
      'filer-a',
      seen.version,
      claimed(seen.record, a, null, 2500),
    );
    if (outcome.kind !== 'applied') throw new Error(outcome.kind);
    expect(outcome.sighting.record.epoch).toBe(epoch);
    seen = outcome.sighting;
  }
  expect(seen.record.written).toEqual(second);
  expect((await seenBy(witness())).record.written).toEqual(second);
});

it('what the listener of a watch throws is reported, and the watch goes on', async () => {
  const one = witness(20);
  const reported: unknown[] = [];
  reportErrorsTo((error) => reported.push(error));
  const seen: LeaseSighting[] = [];
  one.watch('filer-a', (sighting) => {
    seen.push(sighting);
    throw new Error('a mistake of ours');
  });
  await assertEventually(() => expect(reported).toEqual([new Error('a mistake of ours')]));
  const first = await seenBy(one);
  await one.compareAndSwap('filer-a', first.version, claimed(first.record, a, null, 2500));
  await assertEventually(() => expect(seen.at(-1)!.record.holder).toBe(a));
});
