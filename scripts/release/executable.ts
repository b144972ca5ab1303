/** The command as one file that needs no Node on the machine: Node's own binary with the bundles inside (single executable application). */
import { chmodSync, copyFileSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { run } from '../../e2e/machine/command.ts';
import { ROOT } from './source.ts';

/** What Node looks for in its own file to know whether something was put in (Node's documentation of the feature). */
const FUSE = 'NODE_SEA_FUSE_fce680ab2cc467b6e072b8b5df1996b2';
/** A thread is started from its source: an asset has no path. */
const THREAD = /new URL\((["'])\.\/([\w-]+\.js)\1, import\.meta\.url\)/g;

/**
 * What is put into the binary, the same for every processor.
 *
 * @param bundles directory with the command's bundles
 * @param scratch directory for files on the way
 * @returns path of it
 */
export async function executableContents(bundles: string, scratch: string): Promise<string> {
  const directory = join(scratch, 'executable');
  mkdirSync(directory, { recursive: true });
  const names = readdirSync(bundles).filter((name) => name.endsWith('.js'));
  for (const name of names) {
    const text = readFileSync(join(bundles, name), 'utf8');
    const whole = text.replaceAll(THREAD, (_all, _quote, thread: string) => {
      const source = readFileSync(join(bundles, thread)).toString('base64');
      return `new URL('data:text/javascript;base64,${source}')`;
    });
    writeFileSync(join(directory, name), whole);
  }
  const configuration = {
    main: join(ROOT, 'scripts/release/executable-start.cjs'),
    output: join(directory, 'contents.blob'),
    disableExperimentalSEAWarning: true,
    useSnapshot: false,
    useCodeCache: false,
    assets: Object.fromEntries(names.map((name) => [name, join(directory, name)])),
  };
  writeFileSync(join(directory, 'configuration.json'), JSON.stringify(configuration));
  await run([process.execPath, '--experimental-sea-config', join(directory, 'configuration.json')]);
  return configuration.output;
}

/** @param node Node's binary, for any processor */
export async function writeExecutable(node: string, contents: string, target: string): Promise<void> {
  copyFileSync(node, target);
  chmodSync(target, 0o755);
  const postject = join(ROOT, 'node_modules/postject/dist/cli.js');
  await run([process.execPath, postject, target, 'NODE_SEA_BLOB', contents, '--sentinel-fuse', FUSE]);
}
