// Our images: the file server, the operator and the e2e tests' client, built from this clone.
//
// The tag is the version and a hash of what is inside, so an unchanged tree builds nothing and loads nothing.
import { cpSync, existsSync, mkdirSync, readdirSync, readFileSync, renameSync, rmSync } from 'node:fs';
import { join, relative } from 'node:path';
import { type Cache, contentHash, directoryInputs } from '../machine/cache.ts';
import { run } from '../machine/command.ts';
import { imageExists } from '../machine/docker-images.ts';
import { say, stage } from '../machine/stage.ts';
import { baseImage } from './base-image.ts';
import { isKeptInImages } from './kept-in-images.ts';

export interface Images {
  readonly fileserver: string;
  readonly operator: string;
  readonly client: string;
}

export async function images(cache: Cache, repository: string): Promise<Images> {
  const base = await baseImage(cache, repository);
  const context = join(repository, '.cache/images');
  const application = join(context, 'application');
  const tests = join(context, 'tests');
  await stage('compiling for the images', () => compile(repository, application, tests));
  await collectPackages(repository, application);
  const fileserver = await build(repository, application, 'fileserver', base);
  const operator = await build(repository, application, 'operator', base);
  const client = await build(repository, tests, 'e2e-client', fileserver);
  return { fileserver, operator, client };
}

/** Compiles in one go, and keeps what belongs to the tests out of the products. */
async function compile(repository: string, application: string, tests: string): Promise<void> {
  for (const directory of [application, tests]) rmSync(directory, { recursive: true, force: true });
  // An output directory of its own: dist/ belongs to whoever publishes the npm package.
  const dist = join(application, 'dist');
  await run(
    [
      process.execPath,
      join(repository, 'node_modules/typescript/bin/tsc'),
      '-p',
      'e2e/writer/tsconfig.json',
      '--outDir',
      dist,
      // Types have a stage of their own.
      '--noCheck',
    ],
    {
      cwd: repository,
    },
  );
  mkdirSync(tests, { recursive: true });
  renameSync(join(dist, 'e2e'), join(tests, 'e2e'));
}

/**
 * package.json and the packages that production needs, copied as npm has installed them, with their licences and ours and a bill
 * of materials (CycloneDX).
 */
async function collectPackages(repository: string, application: string): Promise<void> {
  for (const name of ['package.json', 'LICENSE']) cpSync(join(repository, name), join(application, name));
  const supplyChain = join(repository, 'scripts/supply-chain.ts');
  await run([process.execPath, supplyChain, '--sbom', join(application, 'sbom.cdx.json')], {
    cwd: repository,
  });
  const listing = await run(['npm', 'ls', '--omit=dev', '--all', '--parseable', '--workspaces=false'], {
    cwd: repository,
  });
  const packages = listing.split('\n').filter((path) => path.includes('/node_modules/'));
  for (const path of packages) {
    cpSync(path, join(application, relative(repository, path)), {
      recursive: true,
      filter: isKeptInImages,
    });
  }
  const native = join(application, 'node_modules/@koromix');
  if (!existsSync(native) || readdirSync(native).length === 0) {
    throw new Error(`koffi's prebuilt library is not installed: run "npm install" without --omit=optional`);
  }
}

async function build(repository: string, context: string, name: string, base: string): Promise<string> {
  const file = join(repository, `images/${name}.Dockerfile`);
  const { version } = JSON.parse(readFileSync(join(repository, 'package.json'), 'utf8')) as {
    version: string;
  };
  const hash = contentHash([base, readFileSync(file), ...directoryInputs(context)]);
  const reference = `filerpair/${name}:${version}-${hash}`;
  if (await imageExists(reference)) {
    say(`${reference} is up to date`);
    return reference;
  }
  const command = [
    'docker',
    'build',
    '--quiet',
    '--build-arg',
    `BASE_IMAGE=${base}`,
    '--file',
    file,
    '--tag',
    reference,
    context,
  ];
  await stage(`building ${reference}`, () => run(command, { variables: { DOCKER_BUILDKIT: '0' } }));
  return reference;
}
