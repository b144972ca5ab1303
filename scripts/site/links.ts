/** Links of a page on the site: to pages of the site as they are, to anything else of the repository as text. Pure. */
import { posix } from 'node:path';

/**
 * @param page path of the page in the repository, such as `docs/operator.md`
 * @param pageOf path on the site, without .md, of a file of the repository; null: it is not on the site
 * @param source where the repository can be read, with a slash at its end; null: nowhere
 */
export function siteLinks(
  text: string,
  page: string,
  pageOf: (file: string) => string | null,
  source: string | null,
): string {
  const here = pageOf(page);
  if (here === null) throw new Error(`${page} is not a page of the site`);
  return outsideCode(text, (part) =>
    part.replace(/(!?)\[([^\]]*)\]\(([^)\s]+)\)/g, (whole, image: string, label: string, target: string) => {
      if (/^[a-z]+:/.test(target) || target.startsWith('#') || image !== '') return whole;
      const [path = '', anchor] = target.split('#');
      const file = posix.normalize(posix.join(posix.dirname(page), path)).replace(/\/$/, '');
      const there = pageOf(file);
      if (there === null) return source === null ? label : `[${label}](${source}${file})`;
      const relative = posix.relative(posix.dirname(here), there);
      return `[${label}](${relative.startsWith('.') ? relative : `./${relative}`}.md${anchor === undefined ? '' : `#${anchor}`})`;
    }),
  );
}

/** Changes what is not in a fenced or indented block. */
function outsideCode(text: string, change: (part: string) => string): string {
  let fenced = false;
  return text
    .split('\n')
    .map((line) => {
      if (line.startsWith('```')) fenced = !fenced;
      return fenced || line.startsWith('    ') ? line : change(line);
    })
    .join('\n');
}
