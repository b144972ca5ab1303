/** Builds everything that a release consists of into one directory, from a commit and packages of others. */
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { makeContext } from '../../e2e/application/images.ts';
import type { Cache } from '../../e2e/machine/cache.ts';
import { needPackages } from '../../e2e/machine/debian-packages.ts';
import { stage } from '../../e2e/machine/stage.ts';
import { gzip, sha256, tar } from './archive.ts';
import { chartPackage } from './chart.ts';
import { executableContents, writeExecutable } from './executable.ts';
import { type BaseLayers, baseLayers, IMAGES, type ImageName, imageArchive } from './images.ts';
import { packCommand, packLibrary } from './npm-packages.ts';
import { type Material, type Parts, PROCESSORS, type Processor, partsFor } from './parts.ts';
import { ROOT, type Source } from './source.ts';
import { provenanceOf } from './statements.ts';
import { changelogSection, definitions, krewManifest, type PluginArchive } from './texts.ts';

export interface Places {
  /** Registry and path of the images, for the chart; may be empty. */
  readonly registry: string;
  /** URL under which the files will be found, for krew. */
  readonly downloads: string;
}

/** Names of files in a release. */
export const imageFile = (name: ImageName, version: string): string => `filerpair-${name}-${version}.oci.tar`;
export const chartFile = (version: string): string => `filerpair-chart-${version}.tgz`;
export const DIGESTS = 'images.json';
export const CHECKSUMS = 'SHA256SUMS';
const PROVENANCE = 'provenance.intoto.json';

/** @param target is emptied first */
export async function buildRelease(
  source: Source,
  cache: Cache,
  target: string,
  places: Places,
): Promise<void> {
  await needPackages(['mmdebstrap'], 'Making images');
  rmSync(target, { recursive: true, force: true });
  mkdirSync(target, { recursive: true });
  const scratch = mkdtempSync(join(tmpdir(), 'filerpair-release-'));
  try {
    const context = join(scratch, 'context');
    await stage('bundling', () => makeContext(ROOT, context));
    const parts = await stage("collecting Debian's packages, Node and koffi", () =>
      collectParts(source, cache, scratch),
    );
    await stage('images', () => writeImages(source, parts, context, target, places.registry));
    await stage('the command as an executable', () =>
      writeExecutables(source, parts, context, scratch, target, places.downloads),
    );
    await stage('packages for npm', async () => {
      await packCommand(context, scratch, source, target);
      await packLibrary(target);
    });
    writeFileSync(join(target, `filerpair-crds-${source.version}.yaml`), definitions());
    const changelog = readFileSync(join(ROOT, 'CHANGELOG.md'), 'utf8');
    writeFileSync(join(target, 'CHANGES.md'), changelogSection(changelog, source.version));
    writeFileSync(
      join(target, `filerpair-${source.version}.cdx.json`),
      readFileSync(join(context, 'sbom.cdx.json')),
    );
    writeStatements(
      source,
      [...parts.values()].flatMap(({ materials }) => materials),
      target,
    );
  } finally {
    rmSync(scratch, { recursive: true, force: true });
  }
}

async function collectParts(
  { time }: Source,
  cache: Cache,
  scratch: string,
): Promise<ReadonlyMap<Processor, Parts>> {
  const parts = new Map<Processor, Parts>();
  for (const processor of Object.keys(PROCESSORS) as Processor[])
    parts.set(processor, await partsFor(processor, cache, time, scratch));
  return parts;
}

async function writeImages(
  source: Source,
  parts: ReadonlyMap<Processor, Parts>,
  context: string,
  target: string,
  registry: string,
): Promise<void> {
  const bases = new Map<Processor, BaseLayers>();
  for (const [processor, one] of parts) bases.set(processor, await baseLayers(one, source.time));
  const digests: Record<string, string> = {};
  for (const name of Object.keys(IMAGES) as ImageName[]) {
    const { archive, digest } = await imageArchive(name, bases, context, source);
    writeFileSync(join(target, imageFile(name, source.version)), archive);
    digests[name] = digest;
  }
  writeFileSync(join(target, DIGESTS), `${JSON.stringify(digests, null, 1)}\n`);
  const chart = await chartPackage(source, { registry, digests: digests as Record<ImageName, string> });
  writeFileSync(join(target, chartFile(source.version)), chart);
}

async function writeExecutables(
  source: Source,
  parts: ReadonlyMap<Processor, Parts>,
  context: string,
  scratch: string,
  target: string,
  downloads: string,
): Promise<void> {
  const contents = await executableContents(join(context, 'dist/client/cli'), scratch);
  const licence = readFileSync(join(ROOT, 'LICENSE'));
  const archives: PluginArchive[] = [];
  for (const [processor, { nodeBinary, node }] of parts) {
    const executable = join(scratch, `filerpair-${processor}`);
    await writeExecutable(nodeBinary, contents, executable);
    const entries = [
      { path: 'filerpair', content: readFileSync(executable), executable: true },
      // kubectl finds its plug-ins by their names.
      { path: 'kubectl-filerpair', content: { linkTo: 'filerpair' } },
      { path: 'LICENSE', content: licence },
      { path: 'LICENSE-of-Node', content: node[1]!.content },
    ];
    const file = `filerpair-${source.version}-linux-${processor}.tar.gz`;
    const archive = gzip(await tar(entries, source.time));
    writeFileSync(join(target, file), archive);
    archives.push({ processor, file, sha256: sha256(archive) });
  }
  writeFileSync(join(target, 'filerpair-krew.yaml'), krewManifest(source, downloads, archives));
}

/** Provenance of every file, then the checksums, the provenance among them. */
function writeStatements(source: Source, materials: readonly Material[], target: string): void {
  const files = (): { name: string; sha256: string }[] =>
    readdirSync(target)
      .sort()
      .map((name) => ({ name, sha256: sha256(readFileSync(join(target, name))) }));
  const unique = [...new Map(materials.map((one) => [one.purl, one])).values()];
  writeFileSync(
    join(target, PROVENANCE),
    `${JSON.stringify(provenanceOf(files(), source, unique), null, 1)}\n`,
  );
  const lines = files().map(({ name, sha256: hash }) => `${hash}  ${name}\n`);
  writeFileSync(join(target, CHECKSUMS), lines.join(''));
}
