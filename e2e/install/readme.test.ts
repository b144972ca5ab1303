/**
 * The README's way from nothing to a file written through a failover, by its own lines. The cluster knows nothing of FilerPair; its
 * default StorageClass makes disks that move from node to node. Changed are where the registry is, and leases on a slow machine.
 */
import { chmodSync, mkdtempSync, readFileSync, rmSync, symlinkSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { DIGESTS } from '../../scripts/release/build.ts';
import { readSource } from '../../scripts/release/source.ts';
import { STORAGE_CLASS } from '../csi/install.ts';
import { REPOSITORY, readEnvironment, readSlowness } from '../environment.ts';
import { Kubectl } from '../harness/kubectl.ts';
import type { DiskSetThing } from '../harness/pair.ts';
import { GUARD_MS, HEARTBEAT_MS, LEASE_MS } from '../harness/timeouts.ts';
import { outcomeOf, run } from '../machine/command.ts';
import { say } from '../machine/stage.ts';
import { cleanCluster } from './clean-cluster.ts';
import { blocksBelow } from './readme-blocks.ts';
import { Registry } from './registry.ts';

/** It builds a release, and lets a disk move twice. */
const DONE_MS_MAX = 25 * 60_000;
const NAMESPACE = 'storage';
const THEIRS = 'export REGISTRY=registry.example.com/filerpair ';

const STORAGE = '  storage: {type: Reattach}\n';
/** A machine that is slow gets longer leases, as in all tests on clusters. */
const leases = (): string =>
  readSlowness() === 1
    ? ''
    : `  failover: {leaseDuration: ${LEASE_MS}ms, guardDuration: ${GUARD_MS}ms, heartbeatPeriod: ${HEARTBEAT_MS}ms}\n`;

const environment = readEnvironment();
const kubectl = new Kubectl(environment, NAMESPACE);
const { version } = readSource();
let registry: Registry;
/** With the programs that a reader has on the PATH. */
let programs: string;

beforeAll(async () => {
  await cleanCluster(environment);
  programs = mkdtempSync(join(tmpdir(), 'filerpair-programs-'));
  chmodSync(programs, 0o755);
  for (const name of ['kubectl', 'helm'] as const) symlinkSync(environment[name], join(programs, name));
  registry = await Registry.start(environment.cluster);
  const isDefault = (value: boolean) =>
    JSON.stringify({
      metadata: { annotations: { 'storageclass.kubernetes.io/is-default-class': `${value}` } },
    });
  for (const { metadata } of await kubectl.list('storageclasses'))
    await kubectl.run(
      'patch',
      'storageclass',
      metadata.name,
      '-p',
      isDefault(metadata.name === STORAGE_CLASS),
    );
});

afterAll(async () => {
  await kubectl.try('delete', 'namespace', NAMESPACE, '--wait=false');
  await registry?.stop();
  rmSync(programs, { recursive: true, force: true });
});

test('leads from nothing to a file that is written through a failover', {
  timeout: DONE_MS_MAX,
}, async () => {
  const lines = blocksBelow(readFileSync(join(REPOSITORY, 'README.md'), 'utf8'), '## Install it');
  expect(lines).toContain(THEIRS);
  const ours = `${registry.address}/filerpair`;
  expect(lines).toContain(STORAGE);
  const script = lines.replace(THEIRS, `export REGISTRY=${ours} `).replace(STORAGE, `${STORAGE}${leases()}`);
  const variables = {
    ...registry.variables,
    KUBECONFIG: environment.cluster.kubeconfig,
    PATH: `${programs}:${process.env['PATH']}`,
  };
  const { code, stdout, stderr } = await outcomeOf(['bash', '-euo', 'pipefail', '-c', script], {
    cwd: REPOSITORY,
    variables,
    onLine: (line) => say(`  ${line}`),
  });
  expect(code, stderr.slice(-3000)).toBe(0);

  // The file as it was read back: every line once, in order.
  const wanted = Array.from({ length: 40 }, (_, index) => `line ${index + 1}`);
  expect(stdout.split('\n').filter((line) => /^line \d+$/.test(line))).toEqual(wanted);
  // And server b did serve it meanwhile.
  const { status } = await kubectl.get<DiskSetThing>('filerdiskset', 'nas.a');
  expect(status!.history!.map(({ to }) => to)).toContain('b');

  // What runs is what was built, by its digest.
  const digests = JSON.parse(readFileSync(join(REPOSITORY, 'out/release', DIGESTS), 'utf8')) as Record<
    string,
    string
  >;
  const images = await kubectl.run('get', 'pods', '-A', '-o', 'jsonpath={..image}');
  for (const name of ['operator', 'fileserver'])
    expect(images.split(' ')).toContain(`${ours}/${name}:${version}@${digests[name]}`);
});

test('publishes what was built for each processor, with its bill of materials and its provenance', async () => {
  const inspect = async (reference: string, ...flags: string[]) =>
    JSON.parse(
      await run(['skopeo', 'inspect', ...flags, `docker://${registry.address}/filerpair/${reference}`], {
        variables: registry.variables,
      }),
    );
  const index = await inspect(`fileserver:${version}`, '--raw');
  const platforms = index.manifests.map(
    ({ platform }: { platform: { architecture: string } }) => platform.architecture,
  );
  expect(platforms).toEqual(['amd64', 'arm64', 'unknown', 'unknown']);
  for (const { digest, annotations } of index.manifests.slice(2)) {
    const { layers } = await inspect(`fileserver@${digest}`, '--raw');
    expect(layers.map((layer: { annotations: object }) => layer.annotations)).toEqual([
      { 'in-toto.io/predicate-type': 'https://cyclonedx.org/bom' },
      { 'in-toto.io/predicate-type': 'https://slsa.dev/provenance/v1' },
    ]);
    expect(index.manifests.map((one: { digest: string }) => one.digest)).toContain(
      annotations['vnd.docker.reference.digest'],
    );
  }
});
