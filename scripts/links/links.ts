/**
 * Links of a Markdown page: does the target exist, and does a link to a line lead to the symbol that its text names? And does each
 * source file exist that the page names in backticks?
 */
import { existsSync, readFileSync } from 'node:fs';
import { dirname, join, normalize } from 'node:path';
import { declarationsOf } from './declarations.ts';

// `[`Journal.append`](../fileserver/storage/journal/journal.ts#L147)` is right as long as that file declares `append` in
// `Journal` within a screen of line 147.

/** A declaration so near is on the same screen as the line that a link leads to. Lines. */
const NEAR = 20;

export interface Checked {
  readonly faults: readonly string[];
  /** The page with the lines of its symbols as they are now. */
  readonly mended: string;
}

/**
 * @param page its path from the root of the repository
 * @param files paths of all files of the repository
 */
export function checkLinks(root: string, page: string, files: readonly string[]): Checked {
  const faults: string[] = [];
  const source = readFileSync(join(root, page), 'utf8');
  const mended = source.replace(
    /\[([^\]]*)\]\(([^)\s]+)\)/g,
    (whole, text: string, target: string, at: number) => {
      if (/^[a-z]+:/.test(target)) return whole;
      const report = (fault: string): string => {
        faults.push(`${page}:${source.slice(0, at).split('\n').length}: ${target}: ${fault}`);
        return whole;
      };
      const [path = '', anchor] = target.split('#');
      const file = path === '' ? page : normalize(join(dirname(page), path));
      if (!existsSync(join(root, file))) return report('there is no such file');
      if (anchor === undefined) return whole;
      if (file.endsWith('.md'))
        return headingsOf(root, file).has(anchor) ? whole : report('there is no such heading');
      const symbol = /^`#?([\w.]+)/.exec(text)?.[1];
      const line = symbol === undefined ? undefined : lineOf(root, file, symbol);
      if (line === undefined) return report(`the file declares no ${symbol ?? 'symbol of that name'}`);
      const linked = Number(anchor.slice(1));
      if (Math.abs(linked - line) > NEAR) report(`${symbol} is in line ${line} now; run "make generate"`);
      return `[${text}](${path}#L${line})`;
    },
  );
  for (const { line, name } of namedFiles(source))
    if (!files.some((file) => file === name || file.endsWith(`/${name}`)))
      faults.push(`${page}:${line}: ${name}: there is no such file`);
  return { faults, mended };
}

/** Source files that stand in backticks, alone or in a command; a page may leave out the beginning of a path. */
function namedFiles(source: string): { readonly line: number; readonly name: string }[] {
  return source.split('\n').flatMap((text, index) =>
    [...text.matchAll(/`([^`]+)`/g)].flatMap(([, code]) =>
      [...code!.matchAll(/(?<![\w./*{}-])[\w-][\w./-]*\.ts(?![\w*{}])/g)].map(([name]) => ({
        line: index + 1,
        name,
      })),
    ),
  );
}

function lineOf(root: string, file: string, symbol: string): number | undefined {
  return declarationsOf(file, readFileSync(join(root, file), 'utf8')).get(symbol);
}

/** As GitHub makes them of headings, and those of `<a name>`. */
function headingsOf(root: string, file: string): Set<string> {
  const text = readFileSync(join(root, file), 'utf8');
  const slug = (heading: string): string =>
    heading
      .toLowerCase()
      .replace(/\]\([^)]*\)/g, '')
      .replace(/[^\p{L}\p{N}\s_-]/gu, '')
      .replaceAll(' ', '-');
  const headings = [...text.matchAll(/^#+ (.*)$/gm)].map(([, heading]) => slug(heading!));
  const named = [...text.matchAll(/<a name="([^"]+)">/g)].map(([, name]) => name!);
  return new Set([...headings, ...named]);
}
