/**
 * A FilerPair is deleted: everything that was made of it goes, in order. Its claims stay, because they are the data, and so does the
 * key of their file handles. Made again it serves the same files, and its epochs go on from where they were.
 */
import { expect, test } from 'vitest';
import { handleKeysName } from '../../kubernetes/labels-and-annotations.ts';
import { eventually } from '../../testing/eventually.ts';
import { readEnvironment } from '../environment.ts';
import { CLIENT_POD, createClientPod } from '../harness/client-pod.ts';
import type { Thing } from '../harness/kubectl.ts';
import { diskSetOf, EXPORTS, PAIR, Pair, pairManifest, serviceOf } from '../harness/pair.ts';
import { recordResult } from '../harness/results.ts';
import { SERVER } from '../harness/scenario.ts';
import { step } from '../harness/step.ts';
import { NAMESPACE_GONE_MS_MAX, PAIR_READY_MS_MAX } from '../harness/timeouts.ts';

const NAME = 'pair-deleted';
const LETTER = `nfs://${serviceOf(SERVER)}${EXPORTS[SERVER]}/letter`;
const OF_THE_PAIR = `filerpair.dev/pair=${PAIR}`;
/** Secrets that stay with the claims: clients that come back have handles that are signed with it. */
const KEPT = [handleKeysName(PAIR)];
/** What the operator makes of a FilerPair, but for its claims. */
const MADE = [
  'pods',
  'services',
  'endpointslices',
  'configmaps',
  'secrets',
  'serviceaccounts',
  'roles',
  'rolebindings',
  'poddisruptionbudgets',
  'leases',
  'filerdisksets',
];

interface LeaseThing extends Thing {
  readonly spec: { readonly leaseTransitions?: number };
}

const inPod = (pair: Pair, ...args: string[]): Promise<string> =>
  pair.kubectl.run('exec', CLIENT_POD, '--', 'node', '/app/dist/client/cli/main.js', ...args);

const epoch = async (pair: Pair): Promise<number> =>
  (await pair.kubectl.get<LeaseThing>('lease', diskSetOf(SERVER))).spec.leaseTransitions ?? 0;

const names = async (pair: Pair, kind: string): Promise<string[]> =>
  (await pair.kubectl.list<Thing>(kind, OF_THE_PAIR)).map(({ metadata }) => metadata.name).sort();

test('a pair that is deleted leaves its claims, the key of their handles and nothing else, and goes on when it is made again', async () => {
  const from = performance.now();
  const environment = readEnvironment();
  const pair = new Pair(environment, `e2e-${NAME}`);
  let passed = false;
  try {
    await step('a FilerPair is applied', () => pair.create());
    await step('it becomes Ready', () => pair.ready());
    await step('a client runs', () => createClientPod(pair, environment.cluster.workers[0]));
    await step('it writes a file', () => inPod(pair, 'put', '/etc/os-release', LETTER));
    const written = await inPod(pair, 'cat', LETTER);
    const claims = await names(pair, 'persistentvolumeclaims');
    const before = await epoch(pair);
    for (const kind of MADE) expect(await names(pair, kind), kind).not.toEqual([]);

    await step('the FilerPair is deleted', () =>
      pair.kubectl.run('delete', 'filerpair', PAIR, `--timeout=${NAMESPACE_GONE_MS_MAX / 1000}s`),
    );
    for (const kind of MADE)
      await eventually(`no ${kind} of the pair are left`, NAMESPACE_GONE_MS_MAX, async () =>
        (await names(pair, kind)).every((name) => KEPT.includes(name)),
      );
    expect(await names(pair, 'secrets')).toEqual(KEPT);
    expect(await names(pair, 'persistentvolumeclaims')).toEqual(claims);
    expect(claims).toHaveLength(2);

    await step('it is made again', () => pair.kubectl.apply(pairManifest(pair.namespace)));
    await step('it becomes Ready', () =>
      pair.kubectl.wait(`filerpair/${PAIR}`, 'condition=Ready', PAIR_READY_MS_MAX),
    );
    expect(await step('the file is there', () => inPod(pair, 'cat', LETTER))).toBe(written);
    expect(written).toContain('PRETTY_NAME');
    expect(await epoch(pair)).toBeGreaterThan(before);
    passed = true;
  } finally {
    recordResult(NAME, { passed, tookMs: Math.round(performance.now() - from) });
    await pair.remove();
  }
});
