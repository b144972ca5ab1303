/**
 * A root file system made of Debian packages, as a tar file in the cache: what images are made of that no registry gives us.
 */
import { join } from 'node:path';
import { type Cache, cached } from './cache.ts';
import { run } from './command.ts';
import { needPackages } from './debian-packages.ts';
import { stage } from './stage.ts';

export interface DebianRoot {
  /** Name of the entry in the cache. */
  readonly name: string;
  /** Release of Debian. */
  readonly release: string;
  /**
   * mmdebstrap's: minbase and essential install packages, on top of what every Debian has; extract only unpacks those that
   * are named and what they depend on, so that no script of theirs runs.
   */
  readonly variant: 'minbase' | 'essential' | 'extract';
  readonly packages: readonly string[];
  /** Further options of mmdebstrap. */
  readonly options?: readonly string[];
}

/** Path of the tar file. */
export async function debianRoot(cache: Cache, root: DebianRoot): Promise<string> {
  const { name, release, variant, packages, options = [] } = root;
  await needPackages(['mmdebstrap'], `Making ${name}`);
  const inputs = [release, variant, ...packages, ...options];
  const directory = await cached(cache, name, inputs, (into) =>
    stage(`collecting Debian packages for ${name}`, async () => {
      const leaveOut = ['doc', 'man', 'locale'].map((kind) => `--dpkgopt=path-exclude=/usr/share/${kind}/*`);
      await run([
        'mmdebstrap',
        '--quiet',
        `--variant=${variant}`,
        '--aptopt=APT::Install-Recommends "false"',
        ...leaveOut,
        ...options,
        `--include=${packages.join(',')}`,
        release,
        join(into, 'root.tar'),
      ]);
    }),
  );
  return join(directory, 'root.tar');
}
