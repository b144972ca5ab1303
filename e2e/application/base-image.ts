/** The base of our images: Debian's C library, Node and a small init, and next to nothing else. */
import { existsSync, readFileSync, realpathSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { DEBIAN } from '../kind/versions.ts';
import { type Cache, cached, contentHash, withLock } from '../machine/cache.ts';
import { run } from '../machine/command.ts';
import { needPackages } from '../machine/debian-packages.ts';
import { imageExists, pull } from '../machine/docker-images.ts';
import { stage } from '../machine/stage.ts';

// Pulled and built by images/base.Dockerfile where a registry answers; else put together from Debian packages and
// the Node binary that npm brought (scripts/runtime).

const PACKAGES = [
  'base-files',
  'base-passwd',
  'libc6',
  'libgcc-s1',
  'libstdc++6',
  'tzdata',
  'busybox',
  'tini',
  'netbase',
];
/** What people and tests call in `kubectl exec`; busybox is all of them. */
const COMMANDS =
  'sh ls cat cp mv rm mkdir ps env id sleep nslookup ping nc date df chmod chown grep sed awk tail head touch hostname kill ip tee stat du find test true';

/** How the root file system comes from the packages. */
const ROOT_HOOKS = [
  // Merged /usr, as Debian's own images have it.
  '--hook-dir=/usr/share/mmdebstrap/hooks/merged-usr',
  // What the packages are, where scanners for vulnerabilities look in images without dpkg: control files in status.d.
  `--extract-hook=mkdir -p "$1"/var/lib/dpkg/status.d; for deb in "$1"/var/cache/apt/archives/*.deb; do { dpkg-deb -f "$deb"; echo "SHA256: $(sha256sum "$deb" | cut -d " " -f 1)"; } >"$1"/var/lib/dpkg/status.d/$(dpkg-deb -f "$deb" Package); done`,
  // Of the documentation the licences stay.
  '--extract-hook=find "$1"/usr/share/doc -type f ! -name copyright -delete; find "$1"/usr/share/doc -type d -empty -delete',
  '--extract-hook=rm -rf "$1"/usr/share/man "$1"/usr/share/locale "$1"/var/lib/apt "$1"/var/cache/apt "$1"/usr/share/zoneinfo/right',
  // Packages are only extracted, their scripts do not run: the account files are made here.
  '--extract-hook=cp "$1"/usr/share/base-passwd/passwd.master "$1"/etc/passwd; cp "$1"/usr/share/base-passwd/group.master "$1"/etc/group',
  '--extract-hook=echo "node:x:1000:1000::/home/node:/bin/sh" >>"$1"/etc/passwd; echo "node:x:1000:" >>"$1"/etc/group; mkdir -p "$1"/home/node; chown 1000:1000 "$1"/home/node',
  `--extract-hook=for name in ${COMMANDS}; do ln -sf busybox "$1"/bin/$name; done`,
];

/** Where the base image looks for programs. */
export const BASE_PATH = 'PATH=/usr/local/bin:/usr/bin:/bin';

/** Makes the base image available to the engine and returns its reference. */
export async function baseImage(cache: Cache, repository: string): Promise<string> {
  const node = realpathSync(join(repository, 'node_modules/.bin/node'));
  const version = (await run([node, '--version'])).trim();
  const inputs = [
    DEBIAN,
    version,
    ...PACKAGES,
    ...ROOT_HOOKS,
    readFileSync(join(repository, 'images/base.Dockerfile')),
  ];
  const reference = `filerpair/base:${version}-${contentHash(inputs)}`;
  if (await imageExists(reference)) return reference;
  return withLock(join(cache.root, 'base-image.lock'), 'making the base image', async () => {
    if (await imageExists(reference)) return reference;
    if (await pull(publishedNode(repository))) await buildOnPublished(repository, reference);
    else await importFromPackages(cache, node, version, reference);
    return reference;
  });
}

/**
 * Writes the root file system of the base image without Node.
 *
 * @param options further ones of mmdebstrap, such as another architecture: nothing of it is executed here
 */
export async function collectRoot(
  tar: string,
  options: readonly string[],
  variables: Readonly<Record<string, string>> = {},
): Promise<void> {
  const command = ['mmdebstrap', '--quiet', '--variant=extract', `--include=${PACKAGES.join(',')}`];
  await run([...command, ...ROOT_HOOKS, ...options, DEBIAN, tar], { variables });
}

/** The published image that the Dockerfile names, by digest. */
export function publishedNode(repository: string): string {
  const [, image] =
    /^ARG NODE_IMAGE=(\S+@sha256:[0-9a-f]{64})$/m.exec(
      readFileSync(join(repository, 'images/base.Dockerfile'), 'utf8'),
    ) ?? [];
  if (image === undefined) throw new Error('images/base.Dockerfile names no base image by digest');
  return image;
}

async function buildOnPublished(repository: string, reference: string): Promise<void> {
  const file = join(repository, 'images/base.Dockerfile');
  await stage('building the base image', () =>
    run(['docker', 'build', '--quiet', '--file', file, '--tag', reference, join(repository, 'images')]),
  );
}

async function importFromPackages(
  cache: Cache,
  node: string,
  version: string,
  reference: string,
): Promise<void> {
  await needPackages(['mmdebstrap'], 'Making the base image');
  const licence = join(dirname(node), '../LICENSE');
  if (!existsSync(licence)) throw new Error(`${licence} is missing: run "make setup"`);
  const hooks = [
    `--extract-hook=install -D -m644 '${licence}' "$1"/usr/share/doc/node/copyright`,
    `--extract-hook=install -D -m755 '${node}' "$1"/usr/local/bin/node`,
  ];
  const directory = await cached(cache, 'base-root', [DEBIAN, version, ...PACKAGES, ...ROOT_HOOKS], (into) =>
    stage('collecting Debian packages for the base image', () => collectRoot(join(into, 'root.tar'), hooks)),
  );
  const changes = [`ENV ${BASE_PATH}`, 'CMD ["node"]'].flatMap((line) => ['--change', line]);
  await run(['docker', 'import', ...changes, join(directory, 'root.tar'), reference]);
}
