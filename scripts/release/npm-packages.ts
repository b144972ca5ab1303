/** The packages for npm: the command, which needs nothing but Node, and the client library. */
import { cpSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { run } from '../../e2e/machine/command.ts';
import { ROOT, type Source } from './source.ts';

/**
 * @param context build context of the images, which has the bundles and the licences of what is in them
 * @param scratch directory for files on the way
 */
export async function packCommand(
  context: string,
  scratch: string,
  { version }: Source,
  target: string,
): Promise<void> {
  const directory = join(scratch, 'npm');
  mkdirSync(directory, { recursive: true });
  cpSync(join(context, 'dist/client/cli'), join(directory, 'cli'), { recursive: true });
  cpSync(join(context, 'licences'), join(directory, 'licences'), { recursive: true });
  cpSync(join(ROOT, 'LICENSE'), join(directory, 'LICENSE'));
  cpSync(join(ROOT, 'docs/client.md'), join(directory, 'README.md'));
  const { description, license, engines } = JSON.parse(readFileSync(join(ROOT, 'package.json'), 'utf8')) as {
    description: string;
    license: string;
    engines: object;
  };
  const bin = { filerpair: './cli/main.js', 'kubectl-filerpair': './cli/main.js' };
  const manifest = { name: 'filerpair', version, description, license, type: 'module', engines, bin };
  writeFileSync(join(directory, 'package.json'), `${JSON.stringify(manifest, null, 2)}\n`);
  await run(['npm', 'pack', '--pack-destination', target], { cwd: directory });
}

export async function packLibrary(target: string): Promise<void> {
  await run([process.execPath, join(ROOT, 'scripts/pack-client.ts'), target]);
}
