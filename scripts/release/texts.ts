/** The texts of a release: what changed, the manifest for krew, and the definitions of all kinds in one file. */
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { stringify } from 'yaml';
import { ROOT, type Source } from './source.ts';

/**
 * The section of a version, or what is not released yet if the version has none.
 *
 * @param changelog CHANGELOG.md
 */
export function changelogSection(changelog: string, version: string): string {
  const sections = changelog.split(/^(?=## )/m).slice(1);
  const found =
    sections.find((text) => text.startsWith(`## ${version}`)) ??
    sections.find((text) => text.startsWith('## Unreleased'));
  if (found === undefined) throw new Error(`CHANGELOG.md has no section for ${version}`);
  return found;
}

export interface PluginArchive {
  /** As krew names processors. */
  readonly processor: string;
  readonly file: string;
  /** SHA-256, hexadecimal. */
  readonly sha256: string;
}

/** `kubectl krew install --manifest` takes it (krew.googlecontainertools.github.com/v1alpha2). */
export function krewManifest(
  { version }: Source,
  downloads: string,
  archives: readonly PluginArchive[],
): string {
  return stringify({
    apiVersion: 'krew.googlecontainertools.github.com/v1alpha2',
    kind: 'Plugin',
    metadata: { name: 'filerpair' },
    spec: {
      version: `v${version}`,
      homepage: 'https://filerpair.dev',
      shortDescription: 'Look after pairs of NFS file servers',
      description:
        'Shows whether the servers of each FilerPair are served and what would happen next, and carries out takeover, giveback, drain and snapshots.',
      platforms: archives.map(({ processor, file, sha256 }) => ({
        selector: { matchLabels: { os: 'linux', arch: processor } },
        uri: `${downloads}/${file}`,
        sha256,
        bin: 'kubectl-filerpair',
        files: [
          { from: 'filerpair', to: 'kubectl-filerpair' },
          { from: 'LICENSE', to: '.' },
        ],
      })),
    },
  });
}

/** For `kubectl apply --server-side`, where helm does not install them. */
export function definitions(): string {
  const directory = join(ROOT, 'crds');
  const files = readdirSync(directory).filter((name) => name.endsWith('.filerpair.dev.yaml'));
  return files
    .sort()
    .map((name) => `---\n${readFileSync(join(directory, name), 'utf8')}`)
    .join('');
}
