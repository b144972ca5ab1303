// The test suite that runs inside a mount, from crates.io: pjdfstest, POSIX semantics in one process, so that it can run
// on an emulated machine too.
import { join } from 'node:path';
import { type Cache, cached } from '../machine/cache.ts';
import { run, succeeds } from '../machine/command.ts';
import { needPackages } from '../machine/debian-packages.ts';
import { stage } from '../machine/stage.ts';

const PROGRAMS = [{ name: 'pjdfstest', version: '0.2.2' }] as const;
type Name = (typeof PROGRAMS)[number]['name'];

/** Paths of the programs; built once, with a Rust of 1.85 or newer (Debian's backport where there is none). */
export async function conformancePrograms(cache: Cache): Promise<Record<Name, string>> {
  await needPackages(['gcc', 'libc6-dev', 'libacl1-dev'], 'Building the conformance suites');
  if (!(await succeeds(['cargo', '--version']))) {
    await needPackages(['cargo-web', 'rustc-web'], 'Building the conformance suites');
  }
  const paths = {} as Record<Name, string>;
  for (const { name, version } of PROGRAMS) {
    const directory = await cached(cache, `rust-${name}`, [version], (into) =>
      stage(`building ${name} ${version}`, async () => {
        const target = ['--root', into, '--target-dir', join(into, 'target')];
        await run(['cargo', 'install', '--quiet', '--locked', ...target, `${name}@${version}`]);
        await run(['rm', '-r', join(into, 'target')]);
      }),
    );
    paths[name] = join(directory, 'bin', name);
  }
  return paths;
}
