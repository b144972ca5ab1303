/** A Debian guest with a real Linux NFS client, built once and cached. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { type Cache, cached } from '../machine/cache.ts';
import { run } from '../machine/command.ts';
import { needPackages } from '../machine/debian-packages.ts';
import { NotPossible } from '../machine/not-possible.ts';
import { stage } from '../machine/stage.ts';

// For machines whose own kernel has none, and so that a test can never wedge the machine's kernel with a dead
// mount. It runs under QEMU's software emulation: no KVM and no rights needed.

/** Releases of the guest; the kernel is that of Debian's cloud images: 6.1 and 6.12. */
export type DebianRelease = 'bookworm' | 'trixie';
const PACKAGES = [
  'nfs-common',
  'netbase',
  'kmod',
  'iproute2',
  'git',
  'sqlite3',
  'perl',
  'procps',
  'nftables',
  'conntrack',
  // For tests that ask for it (guest.ts).
  'systemd',
  'ca-certificates',
  // tcc builds the C project of e2e/conformance: gcc takes a quarter of an hour on an emulated processor.
  'tcc',
  'libc6-dev',
  'make',
];
/** Kernel modules that mount the root file system, and those that are loaded afterwards. */
const EARLY_MODULES = ['virtio_pci', 'virtio_blk', 'crc32c_generic', 'ext4'];
const MODULES = [
  ...['virtio_net', 'sunrpc', 'lockd', 'nfs', 'nfsv3', 'virtio_rng'],
  // What the kernel's path needs with IPv4; a machine loads them when they are asked for, by their aliases.
  ...['nf_tables', 'nft_chain_nat', 'nft_nat', 'nft_ct', 'nft_reject_ipv4'],
  // With a network namespace of its own.
  ...['veth', 'nft_masq'],
  ...['nf_conntrack', 'nf_conntrack_netlink', 'inet_diag', 'tcp_diag'],
];

/** Modules that only this release has: later they are part of others. */
const OWN_MODULES: Readonly<Record<DebianRelease, readonly string[]>> = {
  bookworm: ['nft_objref'],
  trixie: [],
};

const SCRIPTS = ['build.sh', 'early-init.sh', 'init.sh'].map((name) =>
  join(import.meta.dirname, 'guest', name),
);

export interface GuestImage {
  readonly kernel: string;
  readonly ramDisk: string;
  readonly root: string;
}

/** Installs what is needed and builds the guest, 35 s, if it is not there. */
export async function buildGuestImage(cache: Cache, debian: DebianRelease = 'bookworm'): Promise<GuestImage> {
  const builders = ['busybox-static', 'cpio', 'mmdebstrap', 'e2fsprogs', 'kmod', 'xz-utils'];
  await needPackages(['qemu-system-x86', ...builders], 'Testing with a real Linux NFS client');
  const directory = await cached(cache, `linux-guest-${debian}`, inputs(debian), (into) =>
    stage('building the Linux guest', async () => {
      if (process.getuid?.() !== 0)
        throw new NotPossible(
          'Building the Linux guest takes root (mmdebstrap makes device files in it); "make unit" and "make demo" do ' +
            'without. Whatever root has built stays in the cache, where other users may use it (FILERPAIR_CACHE).',
        );
      const modules = [...MODULES, ...OWN_MODULES[debian]];
      const lists = [PACKAGES.join(','), EARLY_MODULES.join(' '), modules.join(' ')];
      await run(['bash', SCRIPTS[0]!, into, debian, ...lists]);
    }),
  );
  return files(directory);
}

function inputs(debian: DebianRelease): (string | Buffer)[] {
  return [
    debian,
    ...PACKAGES,
    ...EARLY_MODULES,
    ...MODULES,
    ...OWN_MODULES[debian],
    ...SCRIPTS.map((path) => readFileSync(path)),
  ];
}

function files(directory: string): GuestImage {
  return {
    kernel: join(directory, 'vmlinuz'),
    ramDisk: join(directory, 'initrd.gz'),
    root: join(directory, 'root.ext4'),
  };
}
