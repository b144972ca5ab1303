/**
 * A pair leaves its namespace and goes on in another one on the same disks: `kubectl filerpair export --end`, and what it
 * prints applied. No data is moved, and the epochs go on from where they were.
 */
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { REPOSITORY, readEnvironment } from '../environment.ts';
import { CLIENT_POD, createClientPod } from '../harness/client-pod.ts';
import type { Kubectl, Thing } from '../harness/kubectl.ts';
import { diskSetOf, EXPORTS, PAIR, Pair, serviceOf } from '../harness/pair.ts';
import { recordResult } from '../harness/results.ts';
import { PARTNER, SERVER } from '../harness/scenario.ts';
import { step } from '../harness/step.ts';
import { NAMESPACE_GONE_MS_MAX, PAIR_READY_MS_MAX, SERVER_BACK_MS_MAX } from '../harness/timeouts.ts';
import { run } from '../machine/command.ts';

const NAME = 'pair-exported';
const THERE = 'e2e-pair-imported';
const LETTER = `nfs://${serviceOf(SERVER)}${EXPORTS[SERVER]}/letter`;

interface LeaseThing extends Thing {
  readonly spec: { readonly leaseTransitions?: number };
}

/** filerpair, in a pod beside the servers. */
const inPod = (kubectl: Kubectl, ...args: string[]): Promise<string> =>
  kubectl.run('exec', CLIENT_POD, '--', 'node', '/app/dist/client/cli/main.js', ...args);

const epochIn = async (kubectl: Kubectl): Promise<number> =>
  (await kubectl.get<LeaseThing>('lease', diskSetOf(SERVER))).spec.leaseTransitions ?? 0;

test('a pair is exported and goes on elsewhere, with its data and its epochs', async () => {
  const from = performance.now();
  const environment = readEnvironment();
  const pair = new Pair(environment, `e2e-${NAME}`);
  const there = new Pair(environment, THERE);
  let passed = false;
  try {
    await there.remove();
    await step('a FilerPair is applied', () => pair.create());
    await step('it becomes Ready', () => pair.ready());
    await step('a client runs', () => createClientPod(pair, environment.cluster.workers[0]));
    await step('it writes a file', () => inPod(pair.kubectl, 'put', '/etc/os-release', LETTER));
    await step('a takeover is possible', () => pair.takeoverPossible(PAIR_READY_MS_MAX));
    await step('its disk set moves', () => pair.request('takeover', SERVER));
    await step(`${PARTNER} serves it`, () => pair.servedBy(SERVER, PARTNER, SERVER_BACK_MS_MAX));
    const epoch = await epochIn(pair.kubectl);
    const written = await inPod(pair.kubectl, 'cat', LETTER);
    const manifests = await step('it is exported, which ends it', () =>
      run([
        process.execPath,
        join(REPOSITORY, 'client/cli/main.ts'),
        ...['pairs', 'export', PAIR, '--end', '--to-namespace', THERE],
        ...['--namespace', pair.namespace, '--kubeconfig', environment.cluster.kubeconfig],
      ]),
    );
    await step('its old claims are deleted', () =>
      pair.kubectl.run('delete', 'pvc', '--selector', `filerpair.dev/pair=${PAIR}`, '--wait'),
    );
    await step('what was printed is applied', async () => {
      await there.kubectl.apply({ apiVersion: 'v1', kind: 'Namespace', metadata: { name: THERE } });
      await there.kubectl.applyText(manifests);
    });
    await step('it becomes Ready there', () =>
      there.kubectl.wait(`filerpair/${PAIR}`, 'condition=Ready', PAIR_READY_MS_MAX),
    );
    await step('a client runs there', () => createClientPod(there, environment.cluster.workers[0]));
    expect(await step('the file is there', () => inPod(there.kubectl, 'cat', LETTER))).toBe(written);
    expect(written).toContain('PRETTY_NAME');
    expect(await epochIn(there.kubectl)).toBeGreaterThan(epoch);
    passed = true;
  } finally {
    recordResult(NAME, { passed, tookMs: Math.round(performance.now() - from) });
    await there.kubectl.run(
      'delete',
      'filerpair',
      PAIR,
      '--ignore-not-found',
      `--timeout=${NAMESPACE_GONE_MS_MAX / 1000}s`,
    );
    await there.remove();
    await pair.remove();
  }
});
