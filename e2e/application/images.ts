/** Our images: the file server, the operator and the e2e tests' client, built from this clone. */
import { copyFileSync, cpSync, mkdirSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { type Cache, contentHash, directoryInputs } from '../machine/cache.ts';
import { run } from '../machine/command.ts';
import { imageExists } from '../machine/docker-images.ts';
import { say, stage } from '../machine/stage.ts';
import { baseImage } from './base-image.ts';
import { isKeptInImages, isLicence } from './kept-in-images.ts';

// The tag is the version and a hash of what is inside, so an unchanged tree builds nothing and loads nothing.

export interface Images {
  readonly fileserver: string;
  readonly operator: string;
  readonly client: string;
}

/** Folders of packages, from the root of the repository (scripts/bundle.ts). */
interface Packages {
  readonly native: readonly string[];
  readonly bundled: readonly string[];
}

export async function images(cache: Cache, repository: string): Promise<Images> {
  const base = await baseImage(cache, repository);
  const context = join(repository, '.cache/images');
  const application = join(context, 'application');
  const tests = join(context, 'tests');
  await stage('bundling for the images', async () => {
    await makeContext(repository, application);
    await bundle(repository, tests, ['--tests']);
  });
  const fileserver = await build(repository, application, 'fileserver', base);
  const operator = await build(repository, application, 'operator', base);
  const client = await build(repository, tests, 'e2e-client', fileserver);
  return { fileserver, operator, client };
}

/** Makes the build context of the images that are released: `directory` is emptied first. */
export async function makeContext(repository: string, directory: string): Promise<void> {
  await bundle(repository, directory, [], 'dist');
  await collectPackages(repository, directory);
  mkdirSync(join(directory, 'bin'));
  copyFileSync(join(repository, 'images/filerpair.sh'), join(directory, 'bin/filerpair'));
}

async function bundle(
  repository: string,
  directory: string,
  flags: readonly string[],
  below = '.',
): Promise<void> {
  rmSync(directory, { recursive: true, force: true });
  const program = [process.execPath, join(repository, 'scripts/bundle.ts'), join(directory, below)];
  await run([...program, ...flags], { cwd: repository });
}

/**
 * The bundles hold the packages they need, but for those with native parts: these are copied as npm has installed them. Of the
 * others the images keep the licences. And package.json, our licence, and a bill of materials (CycloneDX).
 */
async function collectPackages(repository: string, application: string): Promise<void> {
  for (const name of ['package.json', 'LICENSE']) cpSync(join(repository, name), join(application, name));
  const supplyChain = join(repository, 'scripts/supply-chain.ts');
  await run([process.execPath, supplyChain, '--sbom', join(application, 'sbom.cdx.json')], {
    cwd: repository,
  });
  const { native, bundled } = JSON.parse(
    readFileSync(join(application, 'dist/packages.json'), 'utf8'),
  ) as Packages;
  for (const path of native)
    cpSync(join(repository, path), join(application, path), { recursive: true, filter: isKeptInImages });
  for (const path of bundled) {
    const licences = join(application, 'licences', path.replaceAll('node_modules/', ''));
    for (const name of readdirSync(join(repository, path)).filter(isLicence))
      cpSync(join(repository, path, name), join(licences, name));
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
