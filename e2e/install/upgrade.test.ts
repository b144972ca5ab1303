/**
 * An upgrade from the release before, by the words of docs/install.md, under a client that writes: operator, definitions and both
 * servers of a pair become those of this commit, and nothing is lost. Changed is where the chart is.
 */
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { beforeAll, expect, test } from 'vitest';
import { parse } from 'yaml';
import { OPERATOR_NAMESPACE, RELEASE } from '../application/chart.ts';
import { REPOSITORY, readEnvironment, readPreviousRelease } from '../environment.ts';
import { createClientPod, Writer } from '../harness/client-pod.ts';
import { Kubectl, type Thing } from '../harness/kubectl.ts';
import { collectLogs } from '../harness/logs.ts';
import { Pair, type PodThing, SERVERS } from '../harness/pair.ts';
import { podsOf, rolledOut } from '../harness/rollout.ts';
import { LINES_AFTERWARDS, PARTNER, SERVER } from '../harness/scenario.ts';
import { step } from '../harness/step.ts';
import { WRITER_FINISHED_MS_MAX } from '../harness/timeouts.ts';
import { run } from '../machine/command.ts';
import { cleanCluster } from './clean-cluster.ts';

const DONE_MS_MAX = 20 * 60_000;
const THEIRS = 'oci://registry.example.org/filerpair/charts/filerpair --version 0.2.0';

const environment = readEnvironment();
const { helm, cluster, images } = environment;
const previous = readPreviousRelease();
const pair = new Pair(environment, 'upgraded');
const operators = new Kubectl(environment, OPERATOR_NAMESPACE);

interface Definition extends Thing {
  readonly spec: { readonly versions: readonly { readonly name: string; readonly schema: object }[] };
}
interface WithImages extends PodThing {
  readonly spec: PodThing['spec'] & { readonly containers: readonly { name: string; image: string }[] };
}

const imageValues = ({ operator, fileserver }: { operator: string; fileserver: string }): string[] => [
  ...['--set', `image.operator=${operator}`],
  ...['--set', `image.fileserver=${fileserver}`],
];

const imagesOf = async (kubectl: Kubectl, label: string, container: string): Promise<string[]> => {
  const pods = await kubectl.list<WithImages>('pods', label);
  return pods
    .filter(({ metadata }) => metadata.deletionTimestamp === undefined)
    .map(({ spec }) => spec.containers.find(({ name }) => name === container)!.image);
};

beforeAll(() => cleanCluster(environment));

test(`from ${previous.name}: a pair serves through it, and nothing is lost`, {
  timeout: DONE_MS_MAX,
}, async () => {
  const text = readFileSync(join(REPOSITORY, 'docs/install.md'), 'utf8');
  const line = /^ {4}(helm upgrade filerpair oci:.*)$/m.exec(text)?.[1];
  expect(line).toContain(THEIRS);
  const limits = JSON.stringify({ storageTypes: ['SharedCoherent'] });
  await step(`the chart of ${previous.name} is installed`, () =>
    run([
      ...[helm, '--kubeconfig', cluster.kubeconfig, 'install', RELEASE, previous.chart],
      ...['--namespace', OPERATOR_NAMESPACE, '--create-namespace', '--wait', '--timeout', '180s'],
      ...imageValues(previous.images),
      ...['--set-json', `defaultClass.limits=${limits}`],
    ]),
  );
  let writer: Writer | undefined;
  let passed = false;
  try {
    await step('a FilerPair is applied', () => pair.create());
    await step('it becomes Ready', () => pair.ready());
    await step('a takeover is possible', () => pair.takeoverPossible(WRITER_FINISHED_MS_MAX));
    const { nodeName } = (await pair.pod(PARTNER)).spec;
    const client = await step('a client runs', () => createClientPod(pair, nodeName));
    writer = await step('it writes', () => Writer.start(client, pair, SERVER, 'run'));
    await step('the writer is served', () => writer!.writes(LINES_AFTERWARDS, WRITER_FINISHED_MS_MAX));
    const before = await podsOf(pair);

    const ours = line!.replace(
      THEIRS,
      [join(REPOSITORY, 'helm/filerpair'), ...imageValues(images)].join(' '),
    );
    const command = ours.replace(/^helm /, `${helm} --kubeconfig ${cluster.kubeconfig} `);
    await step(line!, () => run(['bash', '-euo', 'pipefail', '-c', `${command} --timeout 180s`]));
    await step('both servers have new pods and their disk sets', () => rolledOut(pair, before));
    await step('a takeover is possible again', () => pair.takeoverPossible(WRITER_FINISHED_MS_MAX));
    await step('the writer is served', () => writer!.writes(LINES_AFTERWARDS, WRITER_FINISHED_MS_MAX));
    await step('what asks for a takeover is answered', async () => {
      await pair.request('takeover', SERVER);
      await pair.takeoverPossible(WRITER_FINISHED_MS_MAX);
      await pair.request('giveback', SERVER);
    });
    const verdict = await step('the writer ends, and its history is compared with the disk', () =>
      writer!.finish(),
    );
    expect([...verdict.lost, ...verdict.duplicated]).toEqual([]);
    expect(verdict.acknowledged).toBeGreaterThan(3 * LINES_AFTERWARDS);

    await step('what runs is of this commit, definitions too', async () => {
      const servers = await imagesOf(pair.kubectl, 'filerpair.dev/server', 'server');
      expect(servers).toEqual(SERVERS.map(() => images.fileserver));
      const running = await imagesOf(operators, 'app.kubernetes.io/name=filerpair-operator', 'operator');
      expect(new Set(running)).toEqual(new Set([images.operator]));
      const files = join(REPOSITORY, 'helm/filerpair/files');
      for (const file of readdirSync(files).filter((name) => name.endsWith('.filerpair.dev.yaml'))) {
        const wanted = parse(readFileSync(join(files, file), 'utf8')) as Definition;
        const { spec } = await pair.kubectl.get<Definition>('customresourcedefinition', wanted.metadata.name);
        expect(spec.versions[0], file).toMatchObject(wanted.spec.versions[0]!);
      }
    });
    passed = true;
  } finally {
    writer?.kill();
    if (!passed) console.error(`logs and objects are in ${await collectLogs(pair, 'upgrade')}`);
    await pair.remove();
  }
});
