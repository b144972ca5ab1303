/**
 * Many shares: one more is there soon, and is sent alone; an owner without the API has them all; right statuses cost no write.
 * SHARES=10000 measures what docs/fileserver.md says.
 */
import { existsSync } from 'node:fs';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { exportlist, MOUNT_PROGRAM, MOUNT_V3, mountproc3 } from '../../protocol/mount.ts';
import { assertEventually } from '../../testing/assert-eventually.ts';
import { pause } from '../../testing/pause.ts';
import { mount, TestDataThread, temporaryDirectory } from '../data-path/data-thread.fixture.ts';
import { RpcClient } from '../data-path/rpc-client.fixture.ts';
import { unpacked } from '../exports/export-specs.ts';
import { ShareApi } from './share-api.fixture.ts';
import { SharingServer } from './sharing-server.fixture.ts';

const SHARES = Number(process.env['SHARES'] ?? 1000);
const MORE = SHARES >= 10_000 ? 100 : 20;

let thread: TestDataThread;
let api: ShareApi;
let volume: { path: string; remove: () => void };
beforeAll(async () => {
  thread = new TestDataThread();
  api = await ShareApi.start();
  volume = temporaryDirectory(existsSync('/dev/shm') ? '/dev/shm' : undefined);
});
afterAll(async () => {
  await thread.stop();
  await api.close();
  volume.remove();
});

const megabytes = (): number => Math.round(process.memoryUsage().rss / 1e6);

test(`${SHARES} shares`, async () => {
  const figures: Record<string, string> = {};
  for (let i = 0; i < SHARES; i++) api.put(`share-${i}`, { directory: `people/${i % 100}/${i}` });
  const { execFileSync } = await import('node:child_process');
  execFileSync(
    'sh',
    ['-c', `seq 0 ${SHARES - 1} | awk '{print "people/" $1 % 100 "/" $1}' | xargs mkdir -p`],
    {
      cwd: volume.path,
    },
  );
  const timed = async (what: string, work: () => Promise<unknown>): Promise<void> => {
    const begun = performance.now();
    const cpu = process.cpuUsage();
    await work();
    const { user, system } = process.cpuUsage(cpu);
    const wall = Math.round(performance.now() - begun);
    figures[what] = `${wall} ms, ${Math.round((user + system) / 1000)} ms of processor time of all threads`;
  };
  // The thread has started.
  const warm = new SharingServer(api, thread, volume.path, 1);
  await warm.open({ exports: unpacked([]) });
  await warm.close();
  const before = megabytes();
  const server = new SharingServer(api, thread, volume.path, 2);
  await timed('list', () => server.start(120_000));
  await timed('open', () => server.open());
  const client = await RpcClient.connect(server.port);
  await mount(client, `/share-${SHARES - 1}`);
  figures['resident, of this process with 5 data threads'] = `${before} MB before, ${megabytes()} MB after`;

  await timed('EXPORT', async () => expect(await listed(client)).toBe(SHARES));

  const took: number[] = [];
  const sent = thread.messages.length;
  for (let i = 0; i < MORE; i++) {
    const begun = performance.now();
    api.put(`more-${i}`);
    while (!(await isMounted(client, `/more-${i}`))) await pause(1, 'between two tries');
    took.push(performance.now() - begun);
  }
  const sorted = took.toSorted((a, b) => a - b);
  const at = (part: number): string => `${sorted[Math.floor(sorted.length * part)]!.toFixed(1)} ms`;
  figures[`one more, created to mountable (${MORE})`] = `p50 ${at(0.5)}, p99 ${at(0.99)}`;
  expect(thread.messages.slice(sent).filter(({ kind }) => kind === 'exportsReplaced')).toEqual([]);
  // A second on a machine that does nothing else.
  expect(sorted[Math.floor(sorted.length / 2)]!).toBeLessThan(1000);

  await assertEventually(() => expect(api.statusWrites.length).toBeGreaterThan(0));
  client.close();
  await server.close();
  await server.shares.stop();

  api.answers = 503;
  const alone = new SharingServer(api, thread, volume.path, 3);
  await alone.start(50);
  await timed('open with the copies', () => alone.open());
  const other = await RpcClient.connect(alone.port);
  await mount(other, `/share-${SHARES - 1}`);
  await mount(other, `/more-${MORE - 1}`);
  other.close();
  await alone.stop();
  console.info(`${SHARES} shares: ${JSON.stringify(figures, null, 1)}`);
}, 600_000);

/** How many exports the MOUNT program lists. */
async function listed(client: RpcClient): Promise<number> {
  const { r } = await client.raw(MOUNT_PROGRAM, MOUNT_V3, mountproc3.EXPORT, () => {});
  return exportlist.decode(r).length;
}

async function isMounted(client: RpcClient, path: string): Promise<boolean> {
  try {
    await mount(client, path);
    return true;
  } catch {
    return false;
  }
}
