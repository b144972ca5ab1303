/**
 * What comes from others, checked: `supply-chain.ts` (part of `make check`) reads the lock file and what is installed, and lists
 * everything that is wrong. `--sbom FILE` writes the bill of materials of what is shipped (CycloneDX, by npm itself).
 */
import { execFileSync } from 'node:child_process';
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { isKeptInImages } from '../e2e/application/kept-in-images.ts';

const repository = fileURLToPath(new URL('..', import.meta.url));

/** Of what is shipped. All of them may be passed on with their text, which the images keep. */
const SHIPPED_LICENCES = new Set([
  'MIT',
  'ISC',
  'Apache-2.0',
  'BSD-2-Clause',
  'BSD-3-Clause',
  '0BSD',
  'PSF-2.0',
  'Unlicense',
]);
/** Of what only builds and tests use, also these. */
const TOOL_LICENCES = new Set([
  ...SHIPPED_LICENCES,
  'BlueOak-1.0.0',
  'MPL-2.0',
  'MIT OR Apache-2.0',
  'CC0-1.0',
  'CC-BY-4.0',
]);
/** Their package.json names it in an old form, which the lock file leaves out: MIT, read in their LICENSE. */
const LICENCE_KNOWN = new Map([
  ['node_modules/buildcheck', 'MIT'],
  ['node_modules/cpu-features', 'MIT'],
  ['node_modules/ssh2', 'MIT'],
]);
/** Public domain by its package.json; it has no file to keep. */
const WITHOUT_LICENCE_FILE = new Set(['node_modules/stream-buffers']);
/**
 * They have a script for their installation, and npm runs none (.npmrc). The library of koffi comes in a package of its own.
 * The script of protobufjs would print advice; those of ssh2 and cpu-features would build what makes them faster. That of
 * esbuild would fetch its program where npm has left out the package that holds it.
 */
const SCRIPTS_NOT_RUN = new Set([
  'node_modules/koffi',
  'node_modules/protobufjs',
  'node_modules/ssh2',
  'node_modules/cpu-features',
  'node_modules/vitepress/node_modules/esbuild',
]);
/** Packages of this repository (npm workspaces). */
const OURS = new Set(['', 'scripts/runtime', 'node_modules/filerpair-runtime']);

interface Locked {
  readonly version?: string;
  readonly resolved?: string;
  readonly integrity?: string;
  readonly license?: string;
  readonly dev?: boolean;
  readonly optional?: boolean;
  readonly hasInstallScript?: boolean;
}

interface Component {
  readonly name: string;
  readonly version: string;
  readonly hashes?: readonly { readonly alg: string }[];
  readonly licenses?: readonly {
    readonly license?: { readonly id?: string };
    readonly expression?: string;
  }[];
}

interface Sbom {
  serialNumber?: string;
  metadata: { timestamp?: string; component: { name: string } };
  components: readonly Component[];
  dependencies?: readonly { readonly ref: string; readonly dependsOn: readonly string[] }[];
}

const locked = Object.entries(
  (
    JSON.parse(readFileSync(join(repository, 'package-lock.json'), 'utf8')) as {
      packages: Record<string, Locked>;
    }
  ).packages,
).filter(([path]) => !OURS.has(path));
/** node-linux-*: the Node of builds and tests, of an npm workspace that is not published. */
const isShipped = ([path, { dev }]: [string, Locked]): boolean =>
  dev !== true && !path.startsWith('node_modules/node-linux-');

function faultsOf([path, one]: [string, Locked]): string[] {
  const faults: string[] = [];
  if (one.resolved !== undefined)
    faults.push(
      `names a place to fetch it from (${one.resolved}): npm install with the .npmrc of this repository`,
    );
  if (!/^sha512-[A-Za-z0-9+/]{86}==$/.test(one.integrity ?? '')) faults.push('has no SHA-512 hash');
  if (one.hasInstallScript === true && !SCRIPTS_NOT_RUN.has(path))
    faults.push(
      'wants to run a script when it is installed, and none is: look what it misses then, and name it in scripts/supply-chain.ts',
    );
  const licence = one.license ?? LICENCE_KNOWN.get(path) ?? 'none';
  const shipped = isShipped([path, one]);
  if (!(shipped ? SHIPPED_LICENCES : TOOL_LICENCES).has(licence))
    faults.push(`has licence ${licence}, which is not among the known ones`);
  if (shipped && !hasLicenceFile(path)) faults.push('has no licence file that the images would keep');
  return faults.map((fault) => `package-lock.json: ${path} ${fault}.`);
}

/** True where it is not installed: it is for another kind of machine. */
function hasLicenceFile(path: string): boolean {
  const directory = join(repository, path);
  if (!existsSync(directory) || WITHOUT_LICENCE_FILE.has(path)) return true;
  // koffi's libraries come in packages of their own, under koffi's licence.
  if (path.startsWith('node_modules/@koromix/koffi-')) return hasLicenceFile('node_modules/koffi');
  return readdirSync(directory).some((name) => /^(licen[cs]e|copying)/i.test(name) && isKeptInImages(name));
}

/**
 * Without what differs from one making to the next. What is shipped is picked here: `--omit=dev` of npm leaves out what tools need
 * as well.
 */
function billOfMaterials(): Sbom {
  const options = ['--package-lock-only', '--workspaces=false', '--sbom-type=application'];
  let sbom: Sbom;
  try {
    const text = execFileSync('npm', ['sbom', '--sbom-format=cyclonedx', ...options], {
      cwd: repository,
      encoding: 'utf8',
    });
    sbom = JSON.parse(text) as Sbom;
  } catch (error) {
    console.error(`npm sbom failed; it needs npm 10.2 or newer. ${(error as Error).message}`);
    process.exit(1);
  }
  delete sbom.serialNumber;
  delete sbom.metadata.timestamp;
  sbom.metadata.component.name = 'filerpair';
  const shipped = new Set(locked.filter(isShipped).map(nameOf));
  const isPart = (ref: string): boolean => shipped.has(ref);
  sbom.components = sbom.components.filter((one) => isPart(`${one.name}@${one.version}`));
  const parts = (sbom.dependencies ?? []).filter(({ ref }) => isPart(ref) || ref.startsWith('filerpair@'));
  sbom.dependencies = parts.map(({ ref, dependsOn }) => ({ ref, dependsOn: dependsOn.filter(isPart) }));
  return sbom;
}

/** As the bill of materials has it: name@version. */
const nameOf = ([path, { version = '' }]: [string, Locked]): string =>
  `${path.split('node_modules/').pop()!}@${version}`;

function faultsOfSbom({ components }: Sbom): string[] {
  const listed = new Map(components.map((one) => [`${one.name}@${one.version}`, one]));
  return locked.filter(isShipped).flatMap((one) => {
    const name = nameOf(one);
    const component = listed.get(name);
    if (component === undefined) return [`bill of materials: ${name} is missing.`];
    const faults: string[] = [];
    if (component.hashes?.some(({ alg }) => alg === 'SHA-512') !== true)
      faults.push(`bill of materials: ${name} has no hash.`);
    if ((component.licenses ?? []).length === 0) faults.push(`bill of materials: ${name} has no licence.`);
    return faults;
  });
}

function faultsOfInstallation(): string[] {
  const npmrc = readFileSync(join(repository, '.npmrc'), 'utf8').split('\n');
  const wanted = ['ignore-scripts=true', 'omit-lockfile-registry-resolved=true'];
  return wanted.filter((line) => !npmrc.includes(line)).map((line) => `.npmrc: ${line} is missing.`);
}

const sbom = billOfMaterials();
const faults = [...faultsOfInstallation(), ...locked.flatMap(faultsOf), ...faultsOfSbom(sbom)];
for (const fault of faults) console.error(fault);
if (faults.length > 0) process.exit(1);
const [flag, file] = process.argv.slice(2);
if (flag === '--sbom' && file !== undefined) {
  mkdirSync(dirname(file), { recursive: true });
  writeFileSync(file, `${JSON.stringify(sbom, null, 1)}\n`);
}
console.log(
  `${locked.length} packages, ${sbom.components.length} of them shipped: hashes and licences are there.`,
);
