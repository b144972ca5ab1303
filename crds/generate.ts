/**
 * Writes what is generated from the schemas: the CRDs and the policy of limits (for kubectl, and for the chart), and
 * docs/api.md. `node crds/generate.ts` writes; `node crds/generate.ts --check` fails if a file differs.
 */

import { readFileSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { stringify } from 'yaml';
import { apiReference } from './api-reference.ts';
import { limitPolicy } from './class-limits.ts';
import { customResourceDefinition } from './custom-resource-definition.ts';
import { type Kind, kinds } from './kinds.ts';

/** YAML 1.1, as kubectl and Helm read it: there a bare `on` is no text. */
const yaml = (value: unknown): string =>
  stringify(value, { version: '1.1', lineWidth: 0, aliasDuplicateObjects: false });

const file = (value: unknown): string =>
  `# Generated from crds/ by \`node crds/generate.ts\`; do not edit.\n${yaml(value)}`;
const crd = (kind: Kind): string => file(customResourceDefinition(kind));

/** Path from the top of the repository, and what the file should contain. */
export const generated: readonly { readonly path: string; readonly text: () => string }[] = [
  ...kinds.flatMap((kind) =>
    ['crds', 'helm/filerpair/files'].map((directory) => ({
      path: `${directory}/${kind.plural}.filerpair.dev.yaml`,
      text: () => crd(kind),
    })),
  ),
  { path: 'helm/filerpair/files/class-limits.yaml', text: () => file(limitPolicy()) },
  { path: 'docs/api.md', text: apiReference },
];

const locate = (path: string): string => fileURLToPath(new URL(`../${path}`, import.meta.url));

function readIfThere(path: string): string | undefined {
  try {
    return readFileSync(locate(path), 'utf8');
  } catch {
    return undefined;
  }
}

/** Paths of the files that are not what the schema says. */
export const outOfSync = (): string[] =>
  generated.filter(({ path, text }) => readIfThere(path) !== text()).map(({ path }) => path);

if (import.meta.main) {
  const stale = outOfSync();
  if (process.argv.includes('--check')) {
    if (stale.length > 0) {
      console.error(`not in sync with crds/: ${stale.join(', ')}; run: node crds/generate.ts`);
      process.exitCode = 1;
    }
  } else {
    for (const { path, text } of generated) if (stale.includes(path)) writeFileSync(locate(path), text());
    console.log(stale.length === 0 ? 'everything is in sync' : `wrote ${stale.join(', ')}`);
  }
}
