/** The image of a real DNS server, BIND, with dig and nsupdate, made of Debian packages. */
import { DEBIAN } from '../kind/versions.ts';
import { type Cache, contentHash } from '../machine/cache.ts';
import { run } from '../machine/command.ts';
import { debianRoot } from '../machine/debian-root.ts';
import { imageExists } from '../machine/docker-images.ts';

const PACKAGES = ['base-files', 'base-passwd', 'busybox', 'tini', 'bind9', 'bind9-dnsutils'];
const COMMANDS = ['sh', 'cp', 'mkdir', 'cat', 'sleep'];
const OPTIONS = [
  '--hook-dir=/usr/share/mmdebstrap/hooks/merged-usr',
  '--extract-hook=rm -rf "$1"/var/lib/apt "$1"/var/cache/apt "$1"/usr/share/bash-completion',
  // Packages are only unpacked: what their scripts would make is made here.
  '--extract-hook=cp "$1"/usr/share/base-passwd/passwd.master "$1"/etc/passwd; cp "$1"/usr/share/base-passwd/group.master "$1"/etc/group',
  `--extract-hook=for name in ${COMMANDS.join(' ')}; do [ -e "$1"/bin/$name ] || ln -s busybox "$1"/bin/$name; done`,
];

/** Makes the image available to the engine and returns its reference. */
export async function bindImage(cache: Cache): Promise<string> {
  const reference = `filerpair/e2e-bind:${contentHash([DEBIAN, ...PACKAGES, ...OPTIONS])}`;
  if (await imageExists(reference)) return reference;
  const root = { name: 'bind-root', release: DEBIAN, packages: PACKAGES, options: OPTIONS };
  const tar = await debianRoot(cache, { ...root, variant: 'extract' });
  const changes = ['ENV PATH=/usr/sbin:/usr/bin:/sbin:/bin', 'ENTRYPOINT ["/usr/bin/tini", "-s", "--"]'];
  await run(['docker', 'import', ...changes.flatMap((line) => ['--change', line]), tar, reference]);
  return reference;
}
