// Our images: the file server, the operator and the e2e tests' client, built from this clone.
//
// The tag is the version and a hash of what is inside, so an unchanged tree builds nothing and loads nothing.
import { cpSync, existsSync, mkdirSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { join, relative } from 'node:path';
import { type Cache, contentHash, directoryInputs } from '../machine/cache.ts';
import { run } from '../machine/command.ts';
import { imageExists } from '../machine/docker-images.ts';
import { say, stage } from '../machine/stage.ts';
import { baseImage } from './base-image.ts';

export interface Images {
  readonly fileserver: string;
  readonly operator: string;
  readonly client: string;
}

/** Of a package in node_modules only this is left out: types, source maps, and texts for people. */
const NOT_FOR_RUNNING = /(\.d\.[cm]?ts|\.map|\.md|\.markdown)$/;

export async function images(cache: Cache, repository: string): Promise<Images> {
  const base = await baseImage(cache, repository);
  const context = join(repository, '.cache/images');
  await stage('compiling for the images', () => compile(repository, context));
  await collectApplication(repository, join(context, 'app'));
  const fileserver = await build(repository, context, 'fileserver', base, ['app']);
  const operator = await build(repository, context, 'operator', base, ['app']);
  const client = await build(repository, context, 'e2e-client', fileserver, ['writer']);
  return { fileserver, operator, client };
}

async function compile(repository: string, context: string): Promise<void> {
  const tsc = join(repository, 'node_modules/.bin/tsc');
  rmSync(join(context, 'app'), { recursive: true, force: true });
  rmSync(join(context, 'writer'), { recursive: true, force: true });
  // Own output directories: dist/ belongs to whoever publishes the npm package.
  await run([tsc, '-p', 'tsconfig.build.json', '--outDir', join(context, 'app/dist')], { cwd: repository });
  await run([tsc, '-p', 'e2e/writer/tsconfig.json', '--outDir', join(context, 'writer')], {
    cwd: repository,
  });
}

/** package.json and the packages that production needs, copied as npm has installed them. */
async function collectApplication(repository: string, app: string): Promise<void> {
  mkdirSync(app, { recursive: true });
  cpSync(join(repository, 'package.json'), join(app, 'package.json'));
  const listing = await run(['npm', 'ls', '--omit=dev', '--all', '--parseable'], { cwd: repository });
  const packages = listing.split('\n').filter((path) => path.includes('/node_modules/'));
  for (const path of packages) {
    cpSync(path, join(app, relative(repository, path)), {
      recursive: true,
      filter: (source) => !NOT_FOR_RUNNING.test(source),
    });
  }
  const native = join(app, 'node_modules/@koromix');
  if (!existsSync(native) || readdirSync(native).length === 0) {
    throw new Error(
      `koffi's prebuilt library is not installed (${native}): run "npm install" without --omit=optional`,
    );
  }
}

async function build(
  repository: string,
  context: string,
  name: string,
  base: string,
  parts: readonly string[],
): Promise<string> {
  const file = join(repository, `images/${name}.Dockerfile`);
  const version = (JSON.parse(readFileSync(join(repository, 'package.json'), 'utf8')) as { version: string })
    .version;
  const contents = parts.flatMap((part) => directoryInputs(join(context, part)));
  const reference = `filerpair/${name}:${version}-${contentHash([base, readFileSync(file), ...contents])}`;
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
