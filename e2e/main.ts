/** Everything around the tests that need containers, a cluster or other programs than Node: */
import { type ChildProcess, spawn } from 'node:child_process';
import { existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { cpus, homedir } from 'node:os';
import { dirname, join } from 'node:path';
import { baseImage } from './application/base-image.ts';
import { installChart } from './application/chart.ts';
import { installExample } from './application/example.ts';
import { images } from './application/images.ts';
import { cProject } from './conformance/c-project.ts';
import { conformancePrograms } from './conformance/programs.ts';
import { writeReport } from './conformance/report.ts';
import { readConformance } from './conformance/results.ts';
import { csiImage } from './csi/image.ts';
import { installCsi } from './csi/install.ts';
import {
  REPOSITORY,
  readEnvironment,
  type TestEnvironment,
  writeConformancePrograms,
  writeControlPlanePrograms,
  writeCProject,
  writeEnvironment,
  writeGuestImage,
  writeKernelGuests,
  writePreviousRelease,
  writePrometheusPrograms,
  writeSlowness,
} from './environment.ts';
import { writeFailureModes } from './harness/failure-modes.ts';
import { clearResults, readResults, resultsTable } from './harness/results.ts';
import { type PreviousRelease, previousRelease } from './install/previous-release.ts';
import {
  type Cluster,
  clusterDown,
  clusterExists,
  clusterIn,
  clusterUp,
  loadImages,
} from './kind/cluster.ts';
import {
  type CsiAbilities,
  controlPlanePrograms,
  csiSidecars,
  drivingPrograms,
  type Programs,
} from './kind/go-programs.ts';
import { nodeImage } from './kind/node-image.ts';
import { buildGuestImage } from './linux/guest-image.ts';
import { cacheIn, contentHash } from './machine/cache.ts';
import { CommandFailed, run } from './machine/command.ts';
import { isRoot, needPackages } from './machine/debian-packages.ts';
import { engineDown, engineUp } from './machine/docker-engine.ts';
import { writeJsonFile } from './machine/json-file.ts';
import { NOT_POSSIBLE_EXIT_CODE, NotPossible } from './machine/not-possible.ts';
import { machineSlowness } from './machine/slowness.ts';
import { say } from './machine/stage.ts';
import { testAlertRules } from './monitoring/alert-rules.ts';
import { prometheusPrograms } from './monitoring/prometheus-programs.ts';
import { recordServers } from './monitoring/record-servers.ts';
import { bindImage } from './names/bind-image.ts';
import { externalDnsImage } from './names/external-dns-image.ts';
import { installNames } from './names/install.ts';
import { measureScale } from './scale/scale.ts';

//   node e2e/main.ts images            build our container images
//   node e2e/main.ts kind              a kind cluster with 2 workers, FilerPair installed, an example pair running
//   node e2e/main.ts kind-down         remove it, and stop the Docker engine if it was started for this
//   node e2e/main.ts cluster-up        a cluster for all the following that need one
//   node e2e/main.ts cluster-down      removes it; nothing to do if there is none
//   node e2e/main.ts cluster [FILTER]  the tests on containers and on the cluster; removes what it made (KEEP=1: not)
//   node e2e/main.ts failures [FILTER] the same, those of reattach, and every failure of docs/failure-modes.md, whose table it
//                                      writes: of the scenarios that were run
//   node e2e/main.ts reattach [FILTER] disks that move from node to node, with a CSI driver of the tests' own
//                                      (API_AWAY_SECONDS=600: how long the API server is away in one of them)
//   node e2e/main.ts admission         what the API server refuses: an API server without nodes, as a process of this machine
//   node e2e/main.ts scale [PAIRS]     what the operator costs with so many pairs (1,000), on a real API server
//   node e2e/main.ts names [FILTER]    names outside the cluster, by external-dns and BIND, and ways in from there
//   node e2e/main.ts install [FILTER]  the README's own commands, from a registry, on a cluster that knows nothing of FilerPair, and
//                                      the upgrade from the release before (FILTER: readme, upgrade). After cluster-up on that
//                                      cluster, from which they take away what is installed
//   node e2e/main.ts moves [FILTER]    of these the two that belong to every run of all tests, or others that only move disks
//   node e2e/main.ts disk [FILTER]     crashes of a machine and failing disks, on disks of the tests' own
//   node e2e/main.ts conformance [FILTER] test suites in a mount, whole (FSX_SECONDS=60 of fsx), and the long versions of
//                                      the random tests; writes docs/conformance.md
//   node e2e/main.ts console           the page of kubectl filerpair ui in Chromium, on a pair of this machine; pictures of docs
//   node e2e/main.ts alerts            when each alert fires and when not, by promtool
//   node e2e/main.ts recordings [WHICH] series of real runs for promtool, in e2e/monitoring (takeovers, servers)
//   node e2e/main.ts monitoring        the same and the dashboards by a real Prometheus that scrapes a kind cluster, and the page
//                                      of kubectl filerpair ui there
//   node e2e/main.ts kernel-path       FAULTS=200 under writers of the Linux kernel's own client, kernels 6.1 and 6.12, by the kernel's path
//                                      (WAY=private, nconnect: the same in a network namespace of its own, with four connections; proxy)
//   node e2e/main.ts clients [FILTER]  the tests with real NFS clients, which need neither
//
// Exit code 69: not possible on this machine; the sentence above it says what is missing.

const cache = cacheIn(process.env['FILERPAIR_CACHE'] ?? join(homedir(), '.cache/filerpair'));
const keep = process.env['KEEP'] === '1';
/** Of `make conformance`, the guest's boot not counted. */
const fsxSeconds = Number(process.env['FSX_SECONDS'] || 60);
// Every clone has a cluster of its own: two may be tested on one machine.
const cluster = clusterIn(
  REPOSITORY,
  process.env['CLUSTER'] ?? `filerpair-${contentHash([REPOSITORY]).slice(0, 4)}`,
);

/** There: `cluster-up` has made the cluster, and `cluster-down` removes it. Says READY once everything is in it. */
const madeForTests = join(REPOSITORY, `.cache/e2e/${cluster.name}.for-tests`);
const READY = 'ready';

/** Cluster with images loaded and the chart installed. `made` says whether it was not there before. */
async function bringUp(target: Cluster): Promise<{ environment: TestEnvironment; made: boolean }> {
  await engineUp(cache);
  const programs = await drivingPrograms(cache);
  const node = await nodeImage(cache);
  const ours = await images(cache, REPOSITORY);
  const made = await clusterUp(target, programs, node);
  await loadImages(target, programs, [ours.fileserver, ours.operator, ours.client]);
  const environment = {
    cluster: target,
    images: ours,
    kubectl: programs.get('kubectl')!,
    helm: programs.get('helm')!,
    kind: programs.get('kind')!,
  };
  writeEnvironment(environment);
  return { environment, made };
}

/** Is there a cluster for several runs, with everything in it? */
async function isShared(): Promise<boolean> {
  if (!existsSync(madeForTests) || readFileSync(madeForTests, 'utf8') !== READY) return false;
  return clusterExists(cluster, await drivingPrograms(cache));
}

async function bringDown(target: Cluster): Promise<void> {
  const programs = await drivingPrograms(cache);
  await clusterDown(target, programs);
  // Owned by the servers' users: removed as a whole, by the user that made it (root, as dockerd needs it).
  for (const directory of [target.sharedDirectory, target.disksDirectory])
    rmSync(directory, { recursive: true, force: true });
}

/** The tests while they run. */
let tests: ChildProcess | undefined;

/** Runs vitest on projects of e2e/vitest.config.ts and returns its exit code. */
function vitest(projects: readonly string[], filters: readonly string[]): Promise<number> {
  // By this very Node: the one on the PATH may be too old for it.
  const program = join(REPOSITORY, 'node_modules/vitest/vitest.mjs');
  const selection = projects.flatMap((name) => ['--project', name]);
  const args = [program, 'run', '--config', 'e2e/vitest.config.ts', ...selection, ...filters];
  const child = spawn(process.execPath, args, { cwd: REPOSITORY, stdio: 'inherit' });
  tests = child;
  return new Promise((resolve, reject) => {
    child.on('error', reject);
    child.on('close', (code) => {
      tests = undefined;
      resolve(code ?? 1);
    });
  });
}

/** Runs projects on a cluster that is made for it and removed afterwards, unless it was there or is to stay. */
async function onCluster(
  projects: readonly string[],
  filters: readonly string[],
  prepare: (environment: TestEnvironment) => Promise<void> = async () => {},
): Promise<number> {
  const shared = await isShared();
  const { environment, made } = shared
    ? { environment: readEnvironment(), made: false }
    : await bringUp(cluster);
  try {
    if (!shared) {
      await installChart(environment);
      clearResults();
    }
    await prepare(environment);
    const slowness = await machineSlowness();
    writeSlowness(slowness);
    say(
      `this machine takes ${slowness.toFixed(1)} times as long as an ordinary one: so long are leases and waits`,
    );
    return await vitest(projects, filters);
  } finally {
    say(`what the scenarios measured (out/e2e.json):\n${resultsTable(readResults())}`);
    if (shared) say(`the cluster ${cluster.name} stays for what comes next`);
    else if (keep || !made) say(`the cluster ${cluster.name} stays; "make kind-down" removes it`);
    else {
      await bringDown(cluster);
      await engineDown(cache);
    }
  }
}

/** Everything that is slow to build for it is built here: the rest of the tests does not wait for it. */
async function withDisks(environment: TestEnvironment, abilities: CsiAbilities): Promise<void> {
  const image = await csiImage(cache, REPOSITORY, abilities);
  const programs = await drivingPrograms(cache);
  const { workers, controlPlane } = environment.cluster;
  await loadImages(environment.cluster, programs, [image], [...workers, controlPlane]);
  await installCsi(environment, image, abilities);
}

async function withNames(environment: TestEnvironment): Promise<void> {
  const names = { bind: await bindImage(cache), externalDns: await externalDnsImage(cache) };
  const programs = await drivingPrograms(cache);
  await loadImages(environment.cluster, programs, Object.values(names), [environment.cluster.controlPlane]);
  await installNames(environment, names);
}

const aboutThisMachine = (): string =>
  `kind with 2 workers on one machine with ${cpus().length} cores. A machine that is slow gets longer leases (guard: a quarter of it).`;

/** An API server without nodes, as processes of this machine. */
async function prepareControlPlane(): Promise<void> {
  const programs = await controlPlanePrograms(cache);
  const [etcd, apiServer] = [programs.get('etcd')!, programs.get('kube-apiserver')!];
  const policyEnforcer = programs.get('kube-network-policies')!;
  const driving = await drivingPrograms(cache);
  const [helm, kubectl] = [driving.get('helm')!, driving.get('kubectl')!];
  writeControlPlanePrograms({ etcd, apiServer, helm, kubectl, policyEnforcer });
}

async function prepareCluster(): Promise<void> {
  await engineUp(cache);
  await drivingPrograms(cache);
  await nodeImage(cache);
  await baseImage(cache, REPOSITORY);
}

/** And names: half of what takes long. */
async function prepareClientsAndDisks(): Promise<void> {
  await buildGuestImage(cache);
  await conformancePrograms(cache);
  await csiSidecars(cache, 'move');
  await engineUp(cache);
  await bindImage(cache);
  await externalDnsImage(cache);
  await previousOr(['upgrade', 'others']);
}

/** Tests that install FilerPair themselves, on a cluster of their own or on that of all tests, of which they are the last. */
async function install(filters: readonly string[]): Promise<number> {
  await engineUp(cache);
  // First: it may not be possible.
  const upgraded = filters.includes('upgrade') ? await previousOr(filters) : null;
  const tests = filters.filter((name) => name !== 'upgrade' || upgraded !== null);
  const programs = await drivingPrograms(cache);
  const shared = await isShared();
  const environment = shared ? readEnvironment() : await emptyCluster(programs, upgraded !== null);
  const target = environment.cluster;
  try {
    if (upgraded !== null) {
      writePreviousRelease(upgraded);
      const ours = shared ? [] : Object.values(environment.images);
      await loadImages(target, programs, [...ours, ...Object.values(upgraded.images)]);
    }
    if (tests.includes('readme')) await withDisks(environment, 'move');
    writeSlowness(await machineSlowness());
    // "make release-check" starts the images, without a cluster.
    return await vitest(['install'], tests);
  } finally {
    if (keep || shared) say(`the cluster ${target.name} stays`);
    else {
      await bringDown(target);
      await engineDown(cache);
    }
  }
}

/** `upgrades`: with our images. The README's come from a registry, as everybody's do. */
async function emptyCluster(programs: Programs, upgrades: boolean): Promise<TestEnvironment> {
  const target = clusterIn(REPOSITORY, `${cluster.name}-install`);
  const ours = upgrades ? await images(cache, REPOSITORY) : { fileserver: '', operator: '', client: '' };
  await clusterUp(target, programs, await nodeImage(cache));
  const [kubectl, helm, kind] = ['kubectl', 'helm', 'kind'].map((name) => programs.get(name)!);
  const environment = { cluster: target, images: ours, kubectl: kubectl!, helm: helm!, kind: kind! };
  writeEnvironment(environment);
  return environment;
}

/** The release before; null where the history does not have it, and other tests are wanted too: that is said. */
async function previousOr(filters: readonly string[]): Promise<PreviousRelease | null> {
  try {
    return await previousRelease(REPOSITORY);
  } catch (error) {
    if (!(error instanceof NotPossible) || filters.length === 1) throw error;
    say(`skipped, the upgrade: ${error.message}`);
    return null;
  }
}

const COMMANDS: Readonly<Record<string, (args: readonly string[]) => Promise<number>>> = {
  prepare: async () => {
    await needPackages(['libnfs-utils'], 'Testing with libnfs');
    // Two things at a time: linking, unpacking and fetching keep one processor busy at most.
    await Promise.all([prepareCluster(), prepareClientsAndDisks()]);
    return 0;
  },
  images: async () => {
    await engineUp(cache);
    for (const reference of Object.values(await images(cache, REPOSITORY))) say(reference);
    return 0;
  },
  kind: async () => {
    const { environment } = await bringUp(cluster);
    await installChart(environment);
    await installExample(environment);
    say(
      `To look around:  export KUBECONFIG=${cluster.kubeconfig}; ${environment.kubectl} get filerpairs --all-namespaces`,
    );
    return 0;
  },
  'cluster-up': async () => {
    await engineUp(cache);
    // Before it is made: an interrupted run knows what to remove.
    if (!(await clusterExists(cluster, await drivingPrograms(cache)))) {
      mkdirSync(dirname(madeForTests), { recursive: true });
      writeFileSync(madeForTests, '');
    }
    const { environment } = await bringUp(cluster);
    await installChart(environment);
    clearResults();
    if (existsSync(madeForTests)) writeFileSync(madeForTests, READY);
    return 0;
  },
  'cluster-down': async () => (existsSync(madeForTests) ? COMMANDS['kind-down']!([]) : 0),
  'kind-down': async () => {
    await engineUp(cache);
    await bringDown(cluster);
    rmSync(madeForTests, { force: true });
    await engineDown(cache);
    return 0;
  },
  cluster: (filters) => onCluster(['cluster'], filters),
  failures: async (filters) => {
    const code = await onCluster(['cluster', 'failures', 'reattach'], filters, (it) =>
      withDisks(it, 'everything'),
    );
    if (code === 0)
      writeFailureModes(readResults(), aboutThisMachine(), new Date().toISOString().slice(0, 10));
    return code;
  },
  scale: async ([pairs = '1000']) => {
    await engineUp(cache);
    const programs = await drivingPrograms(cache);
    const target = clusterIn(REPOSITORY, `${cluster.name}-scale`);
    await clusterUp(target, programs, await nodeImage(cache), 'controlPlaneOnly');
    try {
      const figures = await measureScale(target, programs.get('kubectl')!, Number(pairs));
      writeJsonFile(join(REPOSITORY, 'out/scale.json'), figures);
      say(`out/scale.json:\n${JSON.stringify(figures)}`);
      return 0;
    } finally {
      await bringDown(target);
      await engineDown(cache);
    }
  },
  admission: async (filters) => {
    await prepareControlPlane();
    if (isRoot()) await needPackages(['iproute2', 'iptables'], 'Seeing NetworkPolicies enforced');
    return vitest(['admission'], filters);
  },
  install: (filters) => install(filters.length === 0 ? ['readme', 'upgrade'] : filters),
  shares: async () => {
    await prepareControlPlane();
    const bundles = join(REPOSITORY, '.cache/test-bundles');
    await run([process.execPath, join(REPOSITORY, 'scripts/bundle.ts'), bundles, '--failpoints']);
    process.env['FILERPAIR_TEST_BUNDLES'] = bundles;
    return vitest(['shares'], []);
  },
  names: (filters) => onCluster(['names'], filters, withNames),
  // What moves alone is built sooner than what else disks can do.
  moves: (filters) =>
    onCluster(['reattach'], filters.length === 0 ? ['planned', 'server-crash'] : filters, (it) =>
      withDisks(it, 'move'),
    ),
  reattach: (filters) => onCluster(['reattach'], filters, (it) => withDisks(it, 'everything')),
  disk: async (filters) => {
    if (!isRoot()) throw new NotPossible('Making disks for tests needs root.');
    await needPackages(['e2fsprogs', 'xfsprogs', 'btrfs-progs', 'mount'], 'Testing on disks that crash');
    return vitest(['disk'], filters);
  },
  conformance: async (filters) => {
    writeGuestImage(await buildGuestImage(cache));
    writeConformancePrograms({ ...(await conformancePrograms(cache)), fsxSeconds });
    writeCProject({ archive: await cProject(cache) });
    const code = await vitest(['conformance', 'long'], filters);
    writeReport(readConformance());
    return code;
  },
  console: async (filters) => {
    await needPackages(['chromium'], 'Testing the console in a browser');
    return vitest(['console'], filters);
  },
  alerts: async () => {
    await testAlertRules(await prometheusPrograms(cache), REPOSITORY);
    return 0;
  },
  recordings: async ([which]) => {
    if (which !== 'servers') {
      process.env['RECORD'] = '1';
      const code = await COMMANDS['monitoring']!(['planned-and-not']);
      if (code !== 0 || which !== undefined) return code;
    }
    if (!isRoot())
      throw new NotPossible('A volume that runs full needs a file system of its own, and so root.');
    await recordServers();
    return 0;
  },
  monitoring: async (filters) => {
    await needPackages(['chromium'], 'Testing the console in a browser');
    writePrometheusPrograms(await prometheusPrograms(cache));
    return onCluster(['monitoring'], filters);
  },
  'kernel-path': async (filters) => {
    const releases = ['bookworm', 'trixie'] as const;
    const guests = [];
    for (const debian of releases) guests.push({ debian, image: await buildGuestImage(cache, debian) });
    writeKernelGuests(guests);
    return vitest(['kernel-path'], filters);
  },
  clients: async (filters) => {
    await needPackages(['libnfs-utils'], 'Testing with libnfs');
    const image = await buildGuestImage(cache);
    writeGuestImage(image);
    writeKernelGuests([{ debian: 'bookworm', image }]);
    writeConformancePrograms({ ...(await conformancePrograms(cache)), fsxSeconds });
    return vitest(['harness', 'clients'], filters);
  },
};

async function main(): Promise<number> {
  const [name, ...args] = process.argv.slice(2);
  const command = COMMANDS[name ?? ''];
  if (!command) {
    process.stderr.write(`usage: node e2e/main.ts ${Object.keys(COMMANDS).join('|')} [FILTER...]\n`);
    return 2;
  }
  try {
    return await command(args);
  } catch (error) {
    if (!(error instanceof NotPossible || error instanceof CommandFailed)) throw error;
    process.stderr.write(`${error.message}\n`);
    return error instanceof NotPossible ? NOT_POSSIBLE_EXIT_CODE : 1;
  }
}

// Interrupted while tests run: they are told, they end, and what was brought up is removed as after any run.
// Interrupted while preparing: at once; command.ts ends the programs that were started, the cache has no half entries.
for (const [signal, number] of [
  ['SIGINT', 2],
  ['SIGTERM', 15],
] as const) {
  process.on(signal, () => {
    if (tests) tests.kill(signal);
    else process.exit(128 + number);
  });
}

process.exitCode = await main();
