/** A disk set whose volumes move from node to node: its owner waits for them, and serves only what is mounted. */
import { mkdirSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { assertEventually } from '../../testing/assert-eventually.ts';
import { pause } from '../../testing/pause.ts';
import { MountedPlaces, mayMount } from '../system/mounts.fixture.ts';
import type { FromDataThread, OpenMessage } from '../threads/messages.ts';
import { openMessage, TestDataThread } from './data-thread.fixture.ts';

let places: MountedPlaces;
let thread: TestDataThread;
let place: string;
beforeEach(() => {
  places = new MountedPlaces();
  place = places.directory('volumes/filer-a/move-1/data');
  thread = new TestDataThread();
  thread.post({ kind: 'disks', diskSet: 'local', directory: 'move-1', partnerCouldServe: true });
});
afterEach(async () => {
  await thread.stop();
  places.remove();
});

/** As the configuration has it; the mount is in a directory beside it. */
const configured = () => join(places.root, 'volumes/filer-a/data');
const message = (overrides: Partial<OpenMessage> = {}): OpenMessage =>
  openMessage(configured(), {
    volumes: [{ name: 'data', path: configured(), reattached: true }],
    attachPatienceMs: 20_000,
    ...overrides,
  });
const opened = () =>
  thread.next(
    (one): one is Extract<FromDataThread, { kind: 'opened' | 'openFailed' }> =>
      one.kind === 'opened' || one.kind === 'openFailed',
  );

describe.skipIf(!mayMount)('a disk set whose volumes move', () => {
  test('is opened when its volume appears, and not before; the wait is a phase', async () => {
    await assertEventually(() => expect(thread.board.allStarted).toBe(true));
    thread.grant('local');
    const answer = opened();
    thread.post(message());
    // Longer than several looks: it must have seen the empty directory.
    const early = await Promise.race([
      answer,
      pause(800, 'several looks for the volume').then(() => 'waits'),
    ]);
    expect(early).toBe('waits');
    expect(readdirSync(place)).toEqual([]);
    places.mount(['-t', 'tmpfs', 'none'], place);
    const result = await answer;
    expect(result).toMatchObject({ kind: 'opened' });
    const { phases } = result as Extract<FromDataThread, { kind: 'opened' }>;
    expect(phases.map(({ name }) => name)).toEqual(['attach', 'verify', 'listen', 'replay']);
    expect(phases[0]!.tookMs).toBeGreaterThan(150);
    await thread.close('local', 'quiesce');
    // Nothing of the server holds it any more: it can go.
    places.unmount(place);
    expect(readdirSync(place)).toEqual([]);
  });

  test('can be unmounted after it was fenced, too', async () => {
    places.mount(['-t', 'tmpfs', 'none'], place);
    await thread.open(message());
    expect(() => places.unmount(place)).toThrow(/busy/);
    await thread.close('local', 'fence');
    places.unmount(place);
  });

  test('is given up when its volume does not come', async () => {
    thread.grant('local');
    const answer = opened();
    thread.post(message({ attachPatienceMs: 100 }));
    expect(await answer).toMatchObject({ kind: 'openFailed', reason: 'NotAttached' });
    expect(readdirSync(place)).toEqual([]);
  });

  test('is waited for as long as it takes while nobody else could serve it', async () => {
    const says = (partnerCouldServe: boolean) =>
      thread.post({ kind: 'disks', diskSet: 'local', directory: 'move-1', partnerCouldServe });
    says(false);
    thread.grant('local');
    const answer = opened();
    thread.post(message({ attachPatienceMs: 100 }));
    const early = await Promise.race([answer, pause(600, 'several times its patience').then(() => 'waits')]);
    expect(early).toBe('waits');
    says(true);
    expect(await answer).toMatchObject({ kind: 'openFailed', reason: 'NotAttached' });
  });

  test('does not take what an earlier move has left on the node for its volume', async () => {
    places.mount(['-t', 'tmpfs', 'none'], place);
    places.mount(['-t', 'tmpfs', 'none'], places.directory('volumes/filer-a/data'));
    thread.post({ kind: 'disks', diskSet: 'local', directory: 'move-2', partnerCouldServe: true });
    thread.grant('local');
    const answer = opened();
    thread.post(message({ attachPatienceMs: 200 }));
    expect(await answer).toMatchObject({ kind: 'openFailed', reason: 'NotAttached' });
    expect([readdirSync(place), readdirSync(configured())]).toEqual([[], []]);
    await thread.close('local', 'fence');
    places.mount(['-t', 'tmpfs', 'none'], places.directory('volumes/filer-a/move-2/data'));
    await thread.open(message());
    expect(readdirSync(join(places.root, 'volumes/filer-a/move-2/data'))).toContain('.filerpair');
    await thread.close('local', 'quiesce');
  });

  test('can be closed while it waits', async () => {
    thread.grant('local');
    thread.post(message());
    await thread.close('local', 'fence');
    mkdirSync(place, { recursive: true });
    expect(readdirSync(place)).toEqual([]);
  });
});
