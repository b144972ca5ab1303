/** Patterns in URLs (`*`, `[a-z]`, `{a,b}`), expanded on the export; `%2A` is a star of a name. */
import { matchesGlob } from 'node:path';
import type { FilerPairClient } from '../filer-pair-client.ts';
import { isNfsUrl } from '../url.ts';
import { CommandError, type CommonOptions, type Surroundings } from './command.ts';
import { withSession } from './session.ts';

// `?` begins the options of a URL, so it is no wildcard here.
const WILD = /[*[{]/;
const MATCHES_MAX = 100_000;

/** The URL without its path, the path, the options. */
const PARTS = /^(nfs:\/\/[^/?]*)(\/[^?]*)?(\?.*)?$/i;

/** Each URL with a pattern becomes those that it matches, sorted; other operands stay. Throws if nothing matches. */
export async function expanded(
  operands: readonly string[],
  common: CommonOptions,
  world: Surroundings,
): Promise<string[]> {
  const all: string[] = [];
  for (const operand of operands) {
    if (!hasPattern(operand)) all.push(operand);
    else all.push(...(await matchesOf(operand, common, world)));
  }
  return all;
}

export function hasPattern(operand: string): boolean {
  return isNfsUrl(operand) && WILD.test(PARTS.exec(operand)?.[2] ?? '');
}

async function matchesOf(url: string, common: CommonOptions, world: Surroundings): Promise<string[]> {
  const [, begin = '', path = '/', options = ''] = PARTS.exec(url)!;
  const names = path.split('/').filter((name) => name !== '');
  const firstWild = names.findIndex((name) => WILD.test(name));
  const fixed = names.slice(0, firstWild);
  const base = `${begin}/${fixed.join('/')}${options}`;
  return withSession(base, common, world, async ({ client, path: below }) => {
    let found = [below];
    for (const pattern of names.slice(firstWild)) found = await nextLevel(client, found, pattern);
    if (found.length === 0) throw new CommandError(`${url}: nothing matches`);
    const cut = below === '' ? 0 : below.length + 1;
    const prefix = [begin, ...fixed].join('/');
    return found.map((each) => `${prefix}/${each.slice(cut).split('/').map(escaped).join('/')}${options}`);
  });
}

/** Paths that match one component of a pattern in the directories that matched those before it. */
async function nextLevel(client: FilerPairClient, directories: readonly string[], pattern: string) {
  const found: string[] = [];
  const wanted = decodeURIComponent(pattern);
  for (const directory of directories) {
    const names = await client.readdir(directory).catch(() => []);
    const matching = names.filter(
      (name) => name.startsWith('.') === wanted.startsWith('.') && matchesGlob(name, wanted),
    );
    for (const name of matching.sort()) found.push(directory === '' ? name : `${directory}/${name}`);
    if (found.length > MATCHES_MAX)
      throw new CommandError(`${pattern}: more than ${MATCHES_MAX} names match`);
  }
  return found;
}

/** A name as it stands in a URL. */
function escaped(name: string): string {
  return name.replace(/[%?*[\]{}]/g, (character) => `%${character.charCodeAt(0).toString(16).toUpperCase()}`);
}
