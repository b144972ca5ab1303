/**
 * The programs that run inside a mount: pjdfstest (POSIX semantics) and fsx (contents of files) from crates.io, and our own
 * interoperability tests. Each is one process, so that it can run on an emulated machine too.
 */
import { join } from 'node:path';
import { type Cache, cached, directoryInputs } from '../machine/cache.ts';
import { run, succeeds } from '../machine/command.ts';
import { needPackages } from '../machine/debian-packages.ts';
import { stage } from '../machine/stage.ts';

const CRATES = [
  { name: 'pjdfstest', version: '0.2.2' },
  { name: 'fsx', version: '0.3.2' },
] as const;
const OURS = 'interoperability';
type Name = (typeof CRATES)[number]['name'] | typeof OURS;

const PURPOSE = 'Building the conformance suites';

/** Paths of the programs; built once, with a Rust of 1.85 or newer (Debian's backport where there is none). */
export async function conformancePrograms(cache: Cache): Promise<Record<Name, string>> {
  await needPackages(['gcc', 'libc6-dev', 'libacl1-dev'], PURPOSE);
  if (!(await succeeds(['cargo', '--version']))) await needPackages(['cargo-web', 'rustc-web'], PURPOSE);
  const paths = { [OURS]: await ourTests(cache) } as Record<Name, string>;
  for (const { name, version } of CRATES) {
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

/** Linked statically: the guest need not have the same C library. */
async function ourTests(cache: Cache): Promise<string> {
  const sources = join(import.meta.dirname, OURS);
  const files = ['main.c', 'basic.c', 'special.c'].map((name) => join(sources, name));
  const options = ['-std=gnu17', '-O1', '-Wall', '-Wextra', '-Werror', '-static'];
  const inputs = [...options, ...directoryInputs(sources)];
  const directory = await cached(cache, OURS, inputs, (into) =>
    stage('building the interoperability tests', async () => {
      await run(['gcc', ...options, '-o', join(into, OURS), ...files]);
    }),
  );
  return join(directory, OURS);
}
