/**
 * Bundles the programs: `node scripts/bundle.ts DIRECTORY [--tests|--failpoints]` writes there what images and packages run. Each
 * program is one file with all that it imports, and each thread of it another: an engine loads what it runs, and nothing else.
 * What is imported at run time only (the Kubernetes client of the file server) is a file of its own beside them.
 */
import { mkdirSync, writeFileSync } from 'node:fs';
import { basename, dirname, join, relative, resolve } from 'node:path';
import { pathToFileURL } from 'node:url';
import { type InputOptions, type Plugin, rolldown } from 'rolldown';
import { PROGRAMS, type Program, TEST_PROGRAMS } from './programs.ts';

// Packages with native parts stay packages.
//
// `--tests` bundles the writer of the e2e tests and nothing else. `--failpoints` bundles what tests start (testing/program.ts): a test
// can switch on failpoints in it, which stay the one module of the sources.

const ROOT = join(import.meta.dirname, '..');
/** Packages that load libraries by path at run time, so they have to be installed. koffi's library is in one of @koromix. */
const NATIVE = ['koffi'];
/** Packages that others use where they are installed; of ours none asks for them, and only tools have them here. */
const OPTIONAL = ['supports-color'];
const NATIVE_FOLDERS = ['node_modules/koffi', 'node_modules/@koromix'];

/** A program names its threads by their source files. Bundled, they lie beside it. */
const threadsBesideMain: Plugin = {
  name: 'threads-beside-main',
  transform: (code) =>
    code.replaceAll(
      /new URL\('[./\w-]*?([\w-]+)\.ts', import\.meta\.url\)/g,
      "new URL('./$1.js', import.meta.url)",
    ),
};

const FAILPOINTS = join(ROOT, 'fileserver/system/failpoints.ts');

/** The bundle and what a test preloads see the same object. */
const sharedFailpoints: Plugin = {
  name: 'shared-failpoints',
  resolveId: (source, importer) =>
    importer !== undefined && resolve(dirname(importer), source) === FAILPOINTS
      ? { id: pathToFileURL(FAILPOINTS).href, external: 'absolute' }
      : null,
};

const [out, flag] = process.argv.slice(2);

const options: InputOptions = {
  cwd: ROOT,
  platform: 'node',
  external: [/^node:/, ...NATIVE, ...OPTIONAL],
  plugins: [threadsBesideMain, ...(flag === '--failpoints' ? [sharedFailpoints] : [])],
  // Warnings are about packages' own code. What can't be resolved is an error below.
  onLog: (level, log, handle) => {
    if (log.code === 'UNRESOLVED_IMPORT') throw new Error(log.message);
    if (level === 'warn') return;
    handle(level, log);
  },
};

/** Writes it, and returns the folders of the packages that are in it, from the root of the repository. */
async function bundle(program: Program, directory: string): Promise<Set<string>> {
  const packages = new Set<string>();
  const target = join(directory, dirname(program.main));
  for (const source of [program.main, ...(program.threads ?? [])]) {
    // One by one: with common parts in files of their own a thread would load what it does not run.
    const build = await rolldown({ ...options, input: { [basename(source, '.ts')]: join(ROOT, source) } });
    const { output } = await build.write({
      dir: target,
      format: 'esm',
      chunkFileNames: 'imported-[name].js',
    });
    for (const file of output) {
      if (file.type !== 'chunk') continue;
      for (const id of file.moduleIds) {
        const found = /^(.*node_modules\/(?:@[^/]+\/)?[^/]+)\//.exec(relative(ROOT, id));
        if (found?.[1] !== undefined) packages.add(found[1]);
      }
    }
    await build.close();
  }
  return packages;
}

if (out === undefined) {
  console.error('usage: node scripts/bundle.ts DIRECTORY [--tests]');
  process.exit(2);
}
const directory = resolve(out);
mkdirSync(directory, { recursive: true });
const packages = new Set<string>();
for (const program of flag === '--tests' ? TEST_PROGRAMS : PROGRAMS)
  for (const one of await bundle(program, directory)) packages.add(one);
// Images have the native ones installed, and keep the licences of the others.
const listing = { native: NATIVE_FOLDERS, bundled: [...packages].sort() };
writeFileSync(join(directory, 'packages.json'), `${JSON.stringify(listing, null, 1)}\n`);
