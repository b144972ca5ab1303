/**
 * The image that every node of the test cluster runs: pulled where a registry can be reached, else built from Debian packages
 * and Go programs, with all of Kubernetes' own images inside.
 */
import { chmodSync, cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { eventually } from '../../testing/eventually.ts';
import { type Cache, contentHash, directoryInputs, withLock } from '../machine/cache.ts';
import { CommandFailed, pipeline, run, succeeds } from '../machine/command.ts';
import { needPackages } from '../machine/debian-packages.ts';
import { debianRoot } from '../machine/debian-root.ts';
import { imageExists, pull } from '../machine/docker-images.ts';
import { stage } from '../machine/stage.ts';
import { moduleSource, nodeProgramInputs, nodePrograms, type Programs } from './go-programs.ts';
import {
  COREDNS_IMAGE,
  DEBIAN,
  ETCD_IMAGE,
  KIND,
  KUBERNETES,
  PAUSE_IMAGE,
  PUBLISHED_NODE_IMAGE,
} from './versions.ts';

const CONTAINERD_START_MS_MAX = 30_000;

/** What the node's Debian consists of; conntrack to iproute2 are what kubeadm's preflight checks ask for. */
const NODE_PACKAGES = [
  ...['systemd', 'conntrack', 'iptables', 'nftables', 'iproute2', 'ethtool', 'util-linux', 'mount', 'kmod'],
  ...['libseccomp2', 'pigz', 'e2fsprogs', 'bash', 'ca-certificates', 'curl', 'jq', 'procps', 'runc'],
  ...['iputils-ping', 'socat', 'xfsprogs'],
];
/** What the image of kube-proxy, which also runs network.sh, needs beside the program. */
const PROXY_PACKAGES = ['iptables', 'nftables', 'conntrack', 'iproute2', 'kmod'];

const NODE_FILES = join(import.meta.dirname, 'node-files');
const SYSTEM_PATH = '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin';

/** Makes the node image available to the engine and returns its reference. */
export async function nodeImage(cache: Cache): Promise<string> {
  const built = `filerpair/kind-node:${KUBERNETES}-${inputsHash()}`;
  if (await imageExists(PUBLISHED_NODE_IMAGE)) return PUBLISHED_NODE_IMAGE;
  if (await imageExists(built)) return built;
  if (await pull(PUBLISHED_NODE_IMAGE)) return PUBLISHED_NODE_IMAGE;
  return withLock(join(cache.root, 'node-image.lock'), 'building the node image', async () => {
    if (!(await imageExists(built))) await buildNodeImage(cache, built);
    return built;
  });
}

/** Everything that shapes the image: the files here say the packages and the steps, the rest the versions. */
function inputsHash(): string {
  const own = ['node-image.ts', 'node.Dockerfile'];
  return contentHash([
    ...own.map((name) => readFileSync(join(import.meta.dirname, name))),
    ...directoryInputs(NODE_FILES),
    ...nodeProgramInputs(),
    ...[COREDNS_IMAGE, DEBIAN, ETCD_IMAGE, KIND, PAUSE_IMAGE],
  ]);
}

async function buildNodeImage(cache: Cache, reference: string): Promise<void> {
  await needPackages(['jq', 'gcc', 'libc6-dev'], 'Building the node image');
  const programs = await nodePrograms(cache);
  const root = { release: DEBIAN };
  const nodeRoot = await debianRoot(cache, {
    ...root,
    name: 'node-root',
    variant: 'minbase',
    packages: NODE_PACKAGES,
  });
  const proxyRoot = await debianRoot(cache, {
    ...root,
    name: 'proxy-root',
    variant: 'essential',
    packages: PROXY_PACKAGES,
  });
  await stage('making the images of Kubernetes itself', () => importComponentImages(programs, proxyRoot));
  const withoutImages = `${reference}-empty`;
  await stage('making the node image', () => buildEmptyNode(programs, nodeRoot, withoutImages));
  await stage(
    'putting the images into the node image',
    () => preload(withoutImages, reference),
    () => reference,
  );
}

/** The images that kubeadm starts a cluster from, each one program on an empty or a minimal root. */
async function importComponentImages(programs: Programs, proxyRoot: string): Promise<void> {
  for (const name of ['kube-apiserver', 'kube-controller-manager', 'kube-scheduler']) {
    await importProgram(
      programs.get(name)!,
      `registry.k8s.io/${name}:${KUBERNETES}`,
      `/usr/local/bin/${name}`,
    );
  }
  await importProgram(programs.get('etcd')!, ETCD_IMAGE, '/usr/local/bin/etcd');
  await importProgram(programs.get('coredns')!, COREDNS_IMAGE, '/coredns');
  await importProgram(programs.get('pause')!, PAUSE_IMAGE, '/pause');
  const proxy = '/usr/local/bin/kube-proxy';
  await importProgram(
    programs.get('kube-proxy')!,
    `registry.k8s.io/kube-proxy:${KUBERNETES}`,
    proxy,
    proxyRoot,
  );
}

async function importProgram(program: string, image: string, path: string, root?: string): Promise<void> {
  await inTemporaryDirectory(async (directory) => {
    const tar = join(directory, 'image.tar');
    const content = join(directory, 'content');
    mkdirSync(join(content, path, '..'), { recursive: true });
    cpSync(program, join(content, path));
    chmodSync(join(content, path), 0o755);
    if (root) cpSync(root, tar);
    await run(['tar', '-C', content, '--owner=0', '--group=0', root ? '-rf' : '-cf', tar, `.${path}`]);
    const changes = [`ENV PATH=${SYSTEM_PATH}`, `ENTRYPOINT ["${path}"]`].flatMap((line) => [
      '--change',
      line,
    ]);
    await run(['docker', 'import', ...changes, tar, image]);
  });
}

async function buildEmptyNode(programs: Programs, nodeRoot: string, reference: string): Promise<void> {
  await inTemporaryDirectory(async (directory) => {
    const base = `${reference}-base`;
    await run(['docker', 'import', nodeRoot, base]);
    await collectNodeFiles(programs, join(directory, 'files'));
    cpSync(join(import.meta.dirname, 'node.Dockerfile'), join(directory, 'Dockerfile'));
    // The classic builder: Debian's engine has no other.
    const variables = { DOCKER_BUILDKIT: '0' };
    await run(
      ['docker', 'build', '--quiet', '--build-arg', `BASE_IMAGE=${base}`, '--tag', reference, directory],
      { variables },
    );
  });
}

/** kind's own files, the programs, and ours in place of what cannot be had. */
async function collectNodeFiles(programs: Programs, files: string): Promise<void> {
  cpSync(join(await moduleSource('sigs.k8s.io/kind', KIND), 'images/base/files'), files, { recursive: true });
  // The module cache is read-only, and so is a copy of it.
  await run(['chmod', '-R', 'u=rwX,go=rX', files]);
  const put = (source: string, path: string, executable = true) => {
    mkdirSync(join(files, path, '..'), { recursive: true });
    cpSync(source, join(files, path));
    chmodSync(join(files, path), executable ? 0o755 : 0o644);
  };
  for (const name of ['containerd', 'ctr', 'containerd-shim-runc-v2'])
    put(programs.get(name)!, `usr/local/bin/${name}`);
  for (const name of ['ptp', 'loopback', 'host-local', 'portmap'])
    put(programs.get(name)!, `opt/cni/bin/${name}`);
  for (const name of ['kubeadm', 'kubelet', 'kubectl']) put(programs.get(name)!, `usr/bin/${name}`);
  put(join(NODE_FILES, 'crictl'), 'usr/local/bin/crictl');
  put(join(NODE_FILES, 'network.sh'), 'kind/network.sh');
  put(join(NODE_FILES, 'default-cni.yaml'), 'kind/manifests/default-cni.yaml', false);
  put(join(NODE_FILES, 'default-storage.yaml'), 'kind/manifests/default-storage.yaml', false);
  mkdirSync(join(files, 'etc/kubernetes/manifests'), { recursive: true });
  writeFileSync(join(files, 'kind/version'), KUBERNETES);
  adaptContainerd(join(files, 'etc/containerd/config.toml'));
  rmSync(join(files, 'etc/systemd/system/containerd-fuse-overlayfs.service'));
  for (const name of ['usr/local/bin', 'kind/bin'])
    await run(['bash', '-c', 'chmod 755 "$1"/*', 'chmod', join(files, name)]);
}

/** Three differences from kind's own configuration. */
function adaptContainerd(path: string): void {
  const before = readFileSync(path, 'utf8');
  const after = before
    // The one pause image there is.
    .replaceAll(/registry\.k8s\.io\/pause:[0-9.]+/g, PAUSE_IMAGE)
    // Without CAP_SYS_RESOURCE nothing may lower its oom_score_adj, and runc dies of trying.
    .replace('restrict_oom_score_adj = false', 'restrict_oom_score_adj = true')
    // The fuse-overlayfs snapshotter is not built.
    .replace(/^\[proxy_plugins(?:.*\n)+?(?:\n|$)/m, '');
  if (
    !after.includes('restrict_oom_score_adj = true') ||
    !after.includes(PAUSE_IMAGE) ||
    after.includes('[proxy_plugins')
  ) {
    throw new Error(
      `kind ${KIND} configures containerd in another way than this was written for: see ${path}`,
    );
  }
  writeFileSync(path, after);
}

/** Imports the component images into the node's own containerd and commits the result. */
async function preload(from: string, to: string): Promise<void> {
  const listed = await run([
    'docker',
    'run',
    '--rm',
    '--entrypoint',
    'kubeadm',
    from,
    'config',
    'images',
    'list',
    '--kubernetes-version',
    KUBERNETES,
  ]);
  const images = listed.trim().split('\n');
  const container = (
    await run([
      'docker',
      'run',
      '--detach',
      '--entrypoint',
      'sleep',
      '--security-opt',
      'seccomp=unconfined',
      from,
      'infinity',
    ])
  ).trim();
  try {
    await run(['docker', 'exec', '--detach', container, 'containerd']);
    await eventually('containerd answers in the node image', CONTAINERD_START_MS_MAX, () =>
      succeeds(['docker', 'exec', container, 'ctr', 'version']),
    );
    await pipeline(
      'container=$1; shift; docker save "$@" | docker exec -i "$container" ctr -n k8s.io images import --label=io.cri-containerd.pinned=pinned --all-platforms --no-unpack --digests -',
      [container, ...images],
    );
    // A clean end, so that containerd's database is whole when the container's file system is committed.
    await succeeds(['docker', 'exec', container, 'pkill', '-TERM', '-x', 'containerd']);
    await eventually(
      'containerd has ended',
      CONTAINERD_START_MS_MAX,
      async () => !(await succeeds(['docker', 'exec', container, 'pgrep', '-x', 'containerd'])),
    );
    const changes = ['ENTRYPOINT ["/usr/local/bin/entrypoint", "/sbin/init"]', 'CMD []'].flatMap((line) => [
      '--change',
      line,
    ]);
    await run(['docker', 'commit', ...changes, container, to]);
  } catch (error) {
    if (error instanceof CommandFailed) error.message += `\n(images: ${images.join(', ')})`;
    throw error;
  } finally {
    await run(['docker', 'rm', '--force', '--volumes', container]);
  }
}

async function inTemporaryDirectory(work: (directory: string) => Promise<void>): Promise<void> {
  const directory = mkdtempSync(join(tmpdir(), 'filerpair-'));
  try {
    await work(directory);
  } finally {
    rmSync(directory, { recursive: true, force: true });
  }
}
