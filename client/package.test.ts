/**
 * The library as a package: installed from its tarball into an empty directory, without a network, it runs every example of
 * docs/client.md on a real pair.
 */
import { execFile, execFileSync } from 'node:child_process';
import {
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { isBuiltin } from 'node:module';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { TestPair } from './pair.fixture.ts';

const ROOT = join(import.meta.dirname, '..');

interface Example {
  readonly heading: string;
  readonly code: string;
}

/** Code blocks of the library's part of the page, each with the heading before it. */
const examples: Example[] = [];
{
  const page = readFileSync(join(ROOT, 'docs/client.md'), 'utf8');
  const library = page.slice(page.indexOf('\n## The library\n')).split(/\n## /)[1]!;
  let heading = '';
  for (const match of library.matchAll(/^(?:The library$|### (.*)$)|^```ts\n([\s\S]*?)^```$/gm)) {
    if (match[2] === undefined) heading = match[1] ?? 'The library';
    else examples.push({ heading, code: match[2] });
  }
}

const directory = mkdtempSync(join(tmpdir(), 'filerpair-package-'));
const installed = join(directory, 'node_modules/@filerpair/client');
let pair: TestPair | undefined;

beforeAll(async () => {
  const pack = [join(ROOT, 'scripts/pack-client.ts'), directory];
  const tarball = execFileSync(process.execPath, pack, { encoding: 'utf8' }).trim();
  writeFileSync(join(directory, 'package.json'), '{ "private": true, "type": "module" }');
  execFileSync('npm', ['install', '--offline', '--no-audit', '--no-fund', tarball], { cwd: directory });
  pair = await TestPair.start();
}, 240_000);

afterAll(async () => {
  await pair?.stop();
  rmSync(directory, { recursive: true, force: true });
}, 60_000);

it('brings nothing along, and imports nothing but Node', () => {
  const found = readdirSync(join(directory, 'node_modules')).filter((name) => !name.startsWith('.'));
  expect(found).toEqual(['@filerpair']);
  expect(readdirSync(join(directory, 'node_modules/@filerpair'))).toEqual(['client']);
  const manifest = JSON.parse(readFileSync(join(installed, 'package.json'), 'utf8'));
  const whole = JSON.parse(readFileSync(join(ROOT, 'package.json'), 'utf8'));
  expect(manifest).not.toHaveProperty('dependencies');
  expect(manifest.version).toBe(whole.version);
  const files = readdirSync(installed, { recursive: true, encoding: 'utf8' });
  expect(files.length).toBeGreaterThan(30);
  // The command line and the proxy are no part of it.
  expect(files.filter((name) => /\/(cli|proxy)\/|\.(test|fixture)\./.test(name))).toEqual([]);
  for (const name of files.filter((each) => each.endsWith('.js'))) {
    const source = readFileSync(join(installed, name), 'utf8');
    for (const [, from] of source.matchAll(
      /^(?:import|export)\b[^;]*?from '([^']+)'|\bimport\('([^']+)'\)/gm,
    )) {
      expect(
        from!.startsWith('.') || (from!.startsWith('node:') && isBuiltin(from!)),
        `${name}: ${from}`,
      ).toBe(true);
    }
  }
});

it('can be required from CommonJS', () => {
  const script = "console.log(typeof require('@filerpair/client').FilerPairClient.connect)";
  const args = ['--input-type=commonjs', '-e', script];
  const output = execFileSync(process.execPath, args, { cwd: directory, encoding: 'utf8' });
  expect(output).toBe('function\n');
});

it('has types for every example', () => {
  const types = join(directory, 'types');
  mkdirSync(types);
  for (const [i, { code }] of examples.entries()) writeFileSync(join(types, `example-${i}.ts`), code);
  symlinkSync(join(ROOT, 'node_modules/@types'), join(types, '@types'));
  const options = {
    target: 'esnext',
    module: 'nodenext',
    strict: true,
    noEmit: true,
    types: ['node'],
    typeRoots: [join(ROOT, 'node_modules/@types')],
  };
  writeFileSync(
    join(types, 'tsconfig.json'),
    JSON.stringify({ compilerOptions: options, include: ['*.ts'] }),
  );
  const compiler = join(ROOT, 'node_modules/typescript/bin/tsc');
  expect(() => execFileSync(process.execPath, [compiler, '-p', types], { encoding: 'utf8' })).not.toThrow();
}, 120_000);

it('has examples in every part of the page', () => {
  const headings = [
    'The library',
    'Errors',
    'Time',
    'Open files and streams',
    'Closing',
    'Events',
    'By file handle',
  ];
  expect([...new Set(examples.map((each) => each.heading))]).toEqual(headings);
});

it.each(examples.map((each, i) => [i, each.heading, each.code] as const))(
  'example %i (%s) prints what it says',
  async (i, _, code) => {
    const file = join(directory, `example-${i}.ts`);
    expect(code).toContain("'nfs://filer-a/home'");
    writeFileSync(file, code.replaceAll('nfs://filer-a/home', pair!.url()));
    const output = await new Promise<string>((resolve, reject) => {
      execFile(process.execPath, [file], { cwd: directory, timeout: 60_000 }, (error, stdout, stderr) => {
        if (error === null) resolve(stdout);
        else reject(new Error(`${error.message}\n${stderr}`));
      });
    });
    const promised = [...code.matchAll(/\/\/ prints: (.*)$/gm)].map(([, text]) => text);
    expect(promised.length).toBeGreaterThan(0);
    expect(output.trimEnd().split('\n')).toEqual(promised);
  },
  90_000,
);
