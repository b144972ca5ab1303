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

/** Release of the guest; its kernel is that of Debian's cloud images. */
const DEBIAN = 'bookworm';
const PACKAGES = [
  'nfs-common',
  'netbase',
  'kmod',
  'iproute2',
  'git',
  'sqlite3',
  'perl',
  'procps',
  'ca-certificates',
  // tcc builds the C project of e2e/conformance: gcc takes a quarter of an hour on an emulated processor.
  'tcc',
  'libc6-dev',
  'make',
];
/** Kernel modules that mount the root file system, and those that are loaded afterwards. */
const EARLY_MODULES = ['virtio_pci', 'virtio_blk', 'crc32c_generic', 'ext4'];
const MODULES = ['virtio_net', 'sunrpc', 'lockd', 'nfs', 'nfsv3', 'virtio_rng'];

const SCRIPTS = ['build.sh', 'early-init.sh', 'init.sh'].map((name) =>
  join(import.meta.dirname, 'guest', name),
);

export interface GuestImage {
  readonly kernel: string;
  readonly ramDisk: string;
  readonly root: string;
}

/** Installs what is needed and builds the guest, 35 s, if it is not there. */
export async function buildGuestImage(cache: Cache): Promise<GuestImage> {
  const builders = ['busybox-static', 'cpio', 'mmdebstrap', 'e2fsprogs', 'kmod'];
  await needPackages(['qemu-system-x86', ...builders], 'Testing with a real Linux NFS client');
  const directory = await cached(cache, 'linux-guest', inputs(), (into) =>
    stage('building the Linux guest', async () => {
      if (process.getuid?.() !== 0)
        throw new NotPossible(
          'Building the Linux guest takes root (mmdebstrap makes device files in it); "make unit" and "make demo" do ' +
            'without. Whatever root has built stays in the cache, where other users may use it (FILERPAIR_CACHE).',
        );
      const lists = [PACKAGES.join(','), EARLY_MODULES.join(' '), MODULES.join(' ')];
      await run(['bash', SCRIPTS[0]!, into, DEBIAN, ...lists]);
    }),
  );
  return files(directory);
}

function inputs(): (string | Buffer)[] {
  return [DEBIAN, ...PACKAGES, ...EARLY_MODULES, ...MODULES, ...SCRIPTS.map((path) => readFileSync(path))];
}

function files(directory: string): GuestImage {
  return {
    kernel: join(directory, 'vmlinuz'),
    ramDisk: join(directory, 'initrd.gz'),
    root: join(directory, 'root.ext4'),
  };
}
