/**
 * The Go programs of the test cluster, built from the Go module proxy: kind and helm to drive it, and, where no image registry
 * can be reached, everything that runs in a node.
 */
import { copyFileSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { type Cache, cached, directoryInputs } from '../machine/cache.ts';
import { run, succeeds } from '../machine/command.ts';
import { NotPossible } from '../machine/not-possible.ts';
import { say, seconds } from '../machine/stage.ts';
import {
  CNI_PLUGINS,
  CONTAINERD,
  EXTERNAL_DNS,
  HELM,
  KIND,
  KUBERNETES,
  NETWORK_POLICIES,
  PAUSE,
} from './versions.ts';

// `go install PACKAGE@VERSION` takes the exact dependencies that the module's own go.mod names. Kubernetes and
// etcd have replace directives, which forbids that, as have the CSI sidecars, and CoreDNS gets a main of our own:
// these are built from modules in go-modules/.

interface GoProgram {
  readonly name: string;
  readonly package: string;
  /** A released version, or the directory under go-modules/ whose go.mod names it. */
  readonly from: { readonly version: string } | { readonly module: string };
  readonly linkerFlags: string;
  readonly tags?: string;
}

const CONTAINERD_MODULE = 'github.com/containerd/containerd/v2';
const CONTAINERD_FLAGS = `-s -w -X ${CONTAINERD_MODULE}/version.Version=${CONTAINERD}`;
const [MAJOR, MINOR] = KUBERNETES.slice(1).split('.');
const KUBERNETES_FLAGS = [
  '-s -w',
  ...Object.entries({ gitVersion: KUBERNETES, gitMajor: MAJOR, gitMinor: MINOR, gitTreeState: 'clean' }).map(
    ([name, value]) => `-X k8s.io/component-base/version.${name}=${value}`,
  ),
].join(' ');

const kubernetes = (name: string): GoProgram => ({
  name,
  package: `k8s.io/kubernetes/cmd/${name}`,
  from: { module: 'kubernetes' },
  linkerFlags: KUBERNETES_FLAGS,
});
const containerd = (name: string): GoProgram => ({
  name,
  package: `${CONTAINERD_MODULE}/cmd/${name}`,
  from: { version: CONTAINERD },
  linkerFlags: CONTAINERD_FLAGS,
  tags: 'no_aufs no_zfs no_btrfs no_devmapper',
});
const networkPlugin = (name: string, kind: string): GoProgram => ({
  name,
  package: `github.com/containernetworking/plugins/plugins/${kind}/${name}`,
  from: { version: CNI_PLUGINS },
  linkerFlags: '-s -w',
});

/** What runs on this machine: needed in any case. */
const DRIVING: readonly GoProgram[] = [
  { name: 'kind', package: 'sigs.k8s.io/kind', from: { version: KIND }, linkerFlags: '-s -w' },
  kubernetes('kubectl'),
  { name: 'helm', package: 'helm.sh/helm/v4/cmd/helm', from: { version: HELM }, linkerFlags: '-s -w' },
];

/** What runs in the nodes: needed when the node image is built here. */
const IN_NODE: readonly GoProgram[] = [
  kubernetes('kubelet'),
  kubernetes('kubeadm'),
  kubernetes('kube-apiserver'),
  kubernetes('kube-controller-manager'),
  kubernetes('kube-scheduler'),
  kubernetes('kube-proxy'),
  { name: 'etcd', package: 'go.etcd.io/etcd/server/v3', from: { module: 'etcd' }, linkerFlags: '-s -w' },
  { name: 'coredns', package: '.', from: { module: 'coredns' }, linkerFlags: '-s -w' },
  containerd('containerd'),
  containerd('ctr'),
  containerd('containerd-shim-runc-v2'),
  networkPlugin('ptp', 'main'),
  networkPlugin('loopback', 'main'),
  networkPlugin('host-local', 'ipam'),
  networkPlugin('portmap', 'meta'),
];

const csiSidecar = (name: string, module: string, package_: string): GoProgram => ({
  name,
  package: `github.com/kubernetes-csi/${package_}`,
  from: { module },
  linkerFlags: '-s -w',
});

/** Kubernetes' halves of a CSI driver: make volumes for claims, and attach them to nodes. */
const CSI_SIDECARS: readonly GoProgram[] = [
  csiSidecar('csi-attacher', 'csi-attacher', 'external-attacher/v4/cmd/csi-attacher'),
  csiSidecar('csi-provisioner', 'csi-provisioner', 'external-provisioner/v6/cmd/csi-provisioner'),
];

/** The same for what not every driver can: make volumes larger, make snapshots of them. */
const CSI_SIDECARS_OPTIONAL: readonly GoProgram[] = [
  csiSidecar('csi-resizer', 'csi-optional', 'external-resizer/v2/cmd/csi-resizer'),
  csiSidecar('csi-snapshotter', 'csi-optional', 'external-snapshotter/v8/cmd/csi-snapshotter'),
  csiSidecar('snapshot-controller', 'csi-optional', 'external-snapshotter/v8/cmd/snapshot-controller'),
];

/** Writes what FilerPairs publish into a DNS server: whole, with all its providers, as people install it. */
const EXTERNAL_DNS_PROGRAM: GoProgram = {
  name: 'external-dns',
  package: 'sigs.k8s.io/external-dns',
  from: { version: EXTERNAL_DNS },
  linkerFlags: `-s -w -X sigs.k8s.io/external-dns/pkg/apis/externaldns.Version=${EXTERNAL_DNS}`,
};

/** What kind's own network plug-in enforces NetworkPolicies with. */
const POLICY_ENFORCER: GoProgram = {
  name: 'kube-network-policies',
  package: 'sigs.k8s.io/kube-network-policies/cmd',
  from: { version: NETWORK_POLICIES },
  linkerFlags: '-s -w',
};

/** Where a program's file is, by its name. */
export type Programs = ReadonlyMap<string, string>;

/** kind, kubectl and helm. Without Go, those on the PATH serve. */
export async function drivingPrograms(cache: Cache): Promise<Programs> {
  if (await goIsThere()) return build(cache, DRIVING);
  const missing: string[] = [];
  for (const { name } of DRIVING) if (!(await succeeds(['which', name]))) missing.push(name);
  if (missing.length > 0) throw new NotPossible(`The cluster tests need ${missing.join(', ')}. ${GO_WANTED}`);
  return new Map(DRIVING.map(({ name }) => [name, name]));
}

/** Everything that goes into a node image. */
export async function nodePrograms(cache: Cache): Promise<Programs> {
  if (!(await goIsThere())) {
    throw new NotPossible(
      `No image registry answers, so the Kubernetes node image has to be built here. ${GO_WANTED}`,
    );
  }
  const programs = new Map(await build(cache, IN_NODE));
  programs.set('pause', await buildPause(cache));
  programs.set('kubectl', (await build(cache, [kubernetes('kubectl')])).get('kubectl')!);
  return programs;
}

/** A control plane without nodes, enough for everything that the API server decides by itself, and an enforcer of NetworkPolicies. */
export async function controlPlanePrograms(cache: Cache): Promise<Programs> {
  if (!(await goIsThere())) throw new NotPossible(`An API server has to be built here. ${GO_WANTED}`);
  const names = ['etcd', 'kube-apiserver'];
  return build(cache, [...IN_NODE.filter(({ name }) => names.includes(name)), POLICY_ENFORCER]);
}

/** Everything that shapes those programs: versions, options, and the modules that name their dependencies. */
export const nodeProgramInputs = (): (string | Buffer)[] =>
  [...IN_NODE, kubernetes('kubectl')].flatMap(inputsOf);

/** The path of external-dns. */
export async function externalDns(cache: Cache): Promise<string> {
  if (!(await goIsThere())) throw new NotPossible(`external-dns has to be built here. ${GO_WANTED}`);
  return (await build(cache, [EXTERNAL_DNS_PROGRAM])).get('external-dns')!;
}

/** Whether volumes only move from node to node, or grow and are copied too. */
export type CsiAbilities = 'move' | 'everything';

/** What stands beside the CSI driver of the tests. */
export async function csiSidecars(cache: Cache, abilities: CsiAbilities): Promise<Programs> {
  if (!(await goIsThere())) throw new NotPossible(`The CSI sidecars have to be built here. ${GO_WANTED}`);
  return build(cache, [...CSI_SIDECARS, ...(abilities === 'everything' ? CSI_SIDECARS_OPTIONAL : [])]);
}

/** Any Go since 1.21 fetches the toolchain that go-modules/ asks for by itself. */
const GO_WANTED =
  'Please install Go 1.21 or newer (https://go.dev/dl) and run this again; it builds what is missing.';

async function goIsThere(): Promise<boolean> {
  return succeeds(['go', 'version']);
}

async function build(cache: Cache, programs: readonly GoProgram[]): Promise<Programs> {
  const paths = new Map<string, string>();
  for (const [index, program] of programs.entries()) {
    const directory = await cached(cache, program.name, inputsOf(program), async (into) => {
      const from = performance.now();
      say(`building ${program.name} (${index + 1}/${programs.length}) ...`);
      await buildOne(program, into);
      say(`building ${program.name} (${index + 1}/${programs.length}): ${seconds(performance.now() - from)}`);
    });
    paths.set(program.name, join(directory, program.name));
  }
  return paths;
}

const inputsOf = (program: GoProgram): (string | Buffer)[] => [
  JSON.stringify(program),
  ...('module' in program.from ? directoryInputs(moduleDirectory(program.from.module)) : []),
];

async function buildOne(program: GoProgram, into: string): Promise<void> {
  // Nice, so that the machine stays usable; the compiler takes every core otherwise.
  const go = ['nice', '-n', '10', 'go'];
  const options = ['-ldflags', program.linkerFlags, ...(program.tags ? ['-tags', program.tags] : [])];
  const variables = { CGO_ENABLED: '0', GOFLAGS: '-trimpath -buildvcs=false', GOWORK: 'off', GOBIN: into };
  if ('version' in program.from) {
    await run([...go, 'install', ...options, `${program.package}@${program.from.version}`], { variables });
    const made = readdirSync(into)[0]!;
    if (made !== program.name) copyFileSync(join(into, made), join(into, program.name));
  } else {
    const cwd = moduleDirectory(program.from.module);
    await run([...go, 'build', ...options, '-o', join(into, program.name), program.package], {
      variables,
      cwd,
    });
  }
}

function moduleDirectory(name: string): string {
  return join(import.meta.dirname, 'go-modules', name);
}

/** The process that holds a pod's namespaces: the one C program, 60 lines, from Kubernetes' own source. */
async function buildPause(cache: Cache): Promise<string> {
  const directory = await cached(cache, 'pause', [KUBERNETES, PAUSE], async (into) => {
    const source = await moduleSource('k8s.io/kubernetes', KUBERNETES);
    await run([
      'gcc',
      '-Os',
      '-static',
      '-s',
      `-DVERSION=${PAUSE}`,
      '-o',
      join(into, 'pause'),
      join(source, 'build/pause/linux/pause.c'),
    ]);
  });
  return join(directory, 'pause');
}

/** The directory with a module's source, downloaded if need be. */
export async function moduleSource(module: string, version: string): Promise<string> {
  const answer = await run(['go', 'mod', 'download', '-json', `${module}@${version}`], {
    cwd: import.meta.dirname,
    variables: { GOWORK: 'off' },
  });
  return (JSON.parse(answer) as { Dir: string }).Dir;
}
