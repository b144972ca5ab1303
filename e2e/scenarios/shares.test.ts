/**
 * FilerShares as their users see them: made, mounted, changed, served by the survivor, deleted with and without their directories.
 * Every moment is waited for as an administrator would, with kubectl wait.
 */
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { expect } from 'vitest';
import { CLIENT_POD } from '../harness/client-pod.ts';
import type { Thing } from '../harness/kubectl.ts';
import { PAIR, type Pair, serviceOf } from '../harness/pair.ts';
import { LINES_AFTERWARDS, PARTNER, SERVER, scenario } from '../harness/scenario.ts';
import { step } from '../harness/step.ts';
import { REQUEST_ANSWERED_MS_MAX, SERVER_BACK_MS_MAX, WRITER_FINISHED_MS_MAX } from '../harness/timeouts.ts';

interface ShareThing extends Thing {
  readonly status: { readonly path: string; readonly server: string };
}

const shareManifest = (namespace: string, name: string, spec: object): object => ({
  apiVersion: 'filerpair.dev/v1beta1',
  kind: 'FilerShare',
  metadata: { name, namespace },
  spec: {
    pairRef: { name: PAIR },
    server: SERVER,
    clients: ['0.0.0.0/0'],
    squash: { mode: 'None' },
    ...spec,
  },
});

/** filerpair, in the pod of the client. */
const filerpair = (pair: Pair, ...args: string[]) =>
  pair.kubectl.try('exec', CLIENT_POD, '--', 'node', '/app/dist/client/cli/main.js', ...args);

const url = (path: string): string => `nfs://${serviceOf(SERVER)}${path}`;

async function done(pair: Pair, ...args: string[]): Promise<string> {
  const { code, stdout, stderr } = await filerpair(pair, ...args);
  expect(code, stderr).toBe(0);
  return stdout;
}

async function refused(pair: Pair, path: string): Promise<void> {
  const { code, stdout } = await filerpair(pair, '--timeout', '10', 'cat', url(path));
  expect({ code, stdout }).toEqual({ code: 1, stdout: '' });
}

const change = (pair: Pair, name: string, spec: object): Promise<string> =>
  pair.kubectl.run('patch', 'filershare', name, '--type=merge', `--patch=${JSON.stringify({ spec })}`);

/** Its servers have taken the latest spec: the condition says of which generation it is. */
const shareIsReady = (pair: Pair, name: string): Promise<string> =>
  pair.kubectl.wait(`filershare/${name}`, 'condition=Ready', REQUEST_ANSWERED_MS_MAX);

const pairIs = (pair: Pair, ...conditions: readonly string[]): Promise<unknown> =>
  Promise.all(
    conditions.map((one) => pair.kubectl.wait(`filerpair/${PAIR}`, `condition=${one}`, SERVER_BACK_MS_MAX)),
  );

async function moves(pair: Pair, type: 'Takeover' | 'Giveback'): Promise<void> {
  const name = type.toLowerCase();
  await pair.operate(name, { type, [name]: { server: SERVER } });
  await pair.kubectl.wait(`filerpairoperation/${name}`, 'condition=Complete', REQUEST_ANSWERED_MS_MAX);
}

scenario(
  {
    name: 'shares',
    fault: 'a takeover on request, with shares that were made and changed meanwhile',
    gapMsGoal: 300,
    replaces: [],
  },
  'shares are made, changed, served by the survivor, and deleted; kubectl waits for each moment',
  async ({ pair, writer }) => {
    const { namespace } = pair;
    const onDisk = (name: string) => join(pair.directory(SERVER), 'shares', name);
    await step('two shares are made, and can be mounted', async () => {
      await pair.kubectl.apply(
        shareManifest(namespace, 'docs', { deletionPolicy: 'Delete' }),
        shareManifest(namespace, 'kept', {}),
      );
      await Promise.all(['docs', 'kept'].map((name) => shareIsReady(pair, name)));
      const { status } = await pair.kubectl.get<ShareThing>('filershare', 'docs');
      expect(status).toMatchObject({ path: '/docs', server: serviceOf(SERVER) });
    });
    await step('a client writes a file', () => done(pair, 'put', '/etc/os-release', url('/docs/letter')));
    const letter = await done(pair, 'cat', url('/docs/letter'));
    expect(letter).toContain('PRETTY_NAME');

    await step('the path is changed: the file is there, and no longer here', async () => {
      await change(pair, 'docs', { path: '/papers' });
      await shareIsReady(pair, 'docs');
      expect(await done(pair, 'cat', url('/papers/letter'))).toBe(letter);
      await refused(pair, '/docs/letter');
    });
    await step('its clients are changed: others are refused, then let in again', async () => {
      await change(pair, 'docs', { clients: ['192.0.2.1'] });
      await shareIsReady(pair, 'docs');
      await refused(pair, '/papers/letter');
      await change(pair, 'docs', { clients: ['0.0.0.0/0'] });
      await shareIsReady(pair, 'docs');
      expect(await done(pair, 'cat', url('/papers/letter'))).toBe(letter);
    });

    await step(
      'the next failure is covered, every disk set is on its home server and the spec is rolled out',
      () => pairIs(pair, 'Ready', 'TakeoverPossible', 'AtHome', 'Reconciling=False', 'Degraded=False'),
    );
    await writer.mark('failover');
    await step(`${PARTNER} takes over, and the operation says so`, () => moves(pair, 'Takeover'));
    await step('the pair says that a disk set is away', () => pairIs(pair, 'AtHome=False', 'Ready'));
    await step('the writer is served again', () => writer.writes(LINES_AFTERWARDS, WRITER_FINISHED_MS_MAX));
    await step('the survivor serves the share, and a new one', async () => {
      expect(await done(pair, 'cat', url('/papers/letter'))).toBe(letter);
      await pair.kubectl.apply(shareManifest(namespace, 'late', {}));
      await shareIsReady(pair, 'late');
      await done(pair, 'put', '/etc/os-release', url('/late/letter'));
    });
    await pairIs(pair, 'TakeoverPossible');
    await writer.mark('giveback');
    await step('it is given back', () => moves(pair, 'Giveback'));
    await step('every disk set is on its home server', () => pairIs(pair, 'AtHome', 'Ready'));
    await step('the writer is served again', () => writer.writes(LINES_AFTERWARDS, WRITER_FINISHED_MS_MAX));
    expect(await done(pair, 'cat', url('/late/letter'))).toBe(letter);

    await step('a share is deleted with its directory, another one without', async () => {
      expect([onDisk('docs'), onDisk('kept')].map((path) => existsSync(path))).toEqual([true, true]);
      await pair.kubectl.run('delete', 'filershare', 'docs', 'kept', '--wait=false');
      for (const name of ['docs', 'kept'])
        await pair.kubectl.wait(`filershare/${name}`, 'delete', REQUEST_ANSWERED_MS_MAX);
      expect([onDisk('docs'), onDisk('kept')].map((path) => existsSync(path))).toEqual([false, true]);
      await refused(pair, '/papers/letter');
    });
  },
);
