/**
 * Builds the package of the client library, which is the import graph of client/index.ts and nothing else:
 * `node scripts/pack-client.ts [DIRECTORY]` writes the tarball there (default: out/) and prints its path.
 */
import { execFileSync } from 'node:child_process';
import { copyFileSync, mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';

const ROOT = join(import.meta.dirname, '..');

const target = resolve(process.argv[2] ?? join(ROOT, 'out'));
const staging = mkdtempSync(join(tmpdir(), 'filerpair-package-'));
try {
  const compiler = join(ROOT, 'node_modules/typescript/bin/tsc');
  const outDir = join(staging, 'dist');
  const build = [compiler, '-p', join(ROOT, 'tsconfig.client.json'), '--outDir', outDir];
  execFileSync(process.execPath, build, { stdio: ['ignore', 2, 2] });
  copyFileSync(join(ROOT, 'client/package.json'), join(staging, 'package.json'));
  copyFileSync(join(ROOT, 'docs/client.md'), join(staging, 'README.md'));
  copyFileSync(join(ROOT, 'LICENSE'), join(staging, 'LICENSE'));
  mkdirSync(target, { recursive: true });
  const pack = ['pack', '--json', '--pack-destination', target];
  const [packed] = JSON.parse(execFileSync('npm', pack, { cwd: staging, encoding: 'utf8' }));
  process.stdout.write(`${join(target, packed.filename.replace('@', '').replace('/', '-'))}\n`);
} finally {
  rmSync(staging, { recursive: true, force: true });
}
