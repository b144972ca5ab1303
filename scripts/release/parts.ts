/** What an image has from others, for each processor: Debian's packages, and Node and koffi as npm distributes them. */
import { createHash } from 'node:crypto';
import { readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { buffer } from 'node:stream/consumers';
import { extract } from 'tar-stream';
import { collectRoot } from '../../e2e/application/base-image.ts';
import { isKeptInImages } from '../../e2e/application/kept-in-images.ts';
import { type Cache, cached } from '../../e2e/machine/cache.ts';
import { run } from '../../e2e/machine/command.ts';
import { type Entry, entriesOf } from './archive.ts';
import { ROOT } from './source.ts';

/** Processors as image indexes name them, and as npm does. */
export const PROCESSORS = { amd64: 'x64', arm64: 'arm64' } as const;
export type Processor = keyof typeof PROCESSORS;

/** A package of Debian or npm that is in an image. */
export interface Material {
  readonly purl: string;
  readonly name: string;
  readonly version: string;
  readonly hash: { readonly alg: 'SHA-256' | 'SHA-512'; readonly content: string };
}

export interface Parts {
  /** Root file system without Node, as a tar. */
  readonly base: Buffer;
  readonly node: readonly Entry[];
  /** Path of Node's binary on this machine. */
  readonly nodeBinary: string;
  /** koffi's library, below /app. */
  readonly koffi: readonly Entry[];
  readonly materials: readonly Material[];
}

/** @param scratch a directory for files that are needed no longer than this takes */
export async function partsFor(
  processor: Processor,
  cache: Cache,
  time: number,
  scratch: string,
): Promise<Parts> {
  const npm = PROCESSORS[processor];
  const root = join(scratch, `root-${processor}.tar`);
  await collectRoot(root, [`--architectures=${processor}`], { SOURCE_DATE_EPOCH: String(time) });
  const base = readFileSync(root);
  rmSync(root);
  const node = await npmPackage(cache, `node-linux-${npm}`);
  const koffi = await npmPackage(cache, `@koromix/koffi-linux-${npm}`);
  const file = (path: string): Buffer => readFileSync(join(node.directory, path));
  return {
    base,
    node: [
      { path: 'usr/local/bin/node', content: file('bin/node'), executable: true },
      { path: 'usr/share/doc/node/copyright', content: file('LICENSE') },
    ],
    nodeBinary: join(node.directory, 'bin/node'),
    koffi: entriesOf(koffi.directory, `app/node_modules/@koromix/koffi-linux-${npm}`).filter(({ path }) =>
      isKeptInImages(path),
    ),
    materials: [...(await debianPackages(base)), node.material],
  };
}

/** The package that the lock file names, also one for another processor, checked against the hash there. */
async function npmPackage(cache: Cache, name: string): Promise<{ directory: string; material: Material }> {
  const lock = JSON.parse(readFileSync(join(ROOT, 'package-lock.json'), 'utf8')) as {
    packages: Record<string, { readonly version: string; readonly integrity: string }>;
  };
  const locked = lock.packages[`node_modules/${name}`];
  if (locked === undefined) throw new Error(`package-lock.json has no ${name}`);
  const { version, integrity } = locked;
  const directory = await cached(cache, name.replace(/\W+/g, '-'), [name, integrity], async (into) => {
    const pack = ['npm', 'pack', '--json', '--pack-destination', into, `${name}@${version}`];
    const [packed] = JSON.parse(await run(pack, { cwd: into })) as { filename: string }[];
    const file = join(into, packed!.filename.replace('@', '').replace('/', '-'));
    const hash = createHash('sha512').update(readFileSync(file)).digest('base64');
    if (`sha512-${hash}` !== integrity) throw new Error(`${name}@${version} is not what the lock file says`);
    await run(['tar', '-xzf', file, '-C', into, '--strip-components=1', '--no-same-owner']);
    rmSync(file);
  });
  const content = Buffer.from(integrity.replace('sha512-', ''), 'base64').toString('hex');
  const purl = `pkg:npm/${name.replace('@', '%40')}@${version}`;
  return { directory, material: { purl, name, version, hash: { alg: 'SHA-512', content } } };
}

/** From the control files that the root file system keeps. */
async function debianPackages(root: Buffer): Promise<Material[]> {
  const materials: Material[] = [];
  const archive = extract();
  archive.end(root);
  for await (const entry of archive) {
    if (!/^(\.\/)?var\/lib\/dpkg\/status\.d\/[^/]+$/.test(entry.header.name)) {
      entry.resume();
      continue;
    }
    const text = (await buffer(entry)).toString();
    const field = (name: string): string => new RegExp(`^${name}: (.*)$`, 'm').exec(text)?.[1] ?? '';
    const [name, version, architecture] = [field('Package'), field('Version'), field('Architecture')];
    materials.push({
      purl: `pkg:deb/debian/${name}@${encodeURIComponent(version)}?arch=${architecture}`,
      name,
      version,
      hash: { alg: 'SHA-256', content: field('SHA256') },
    });
  }
  if (materials.length === 0)
    throw new Error('the root file system does not say of which packages it is made');
  return materials.sort((a, b) => (a.purl < b.purl ? -1 : 1));
}
