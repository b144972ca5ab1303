/** Builds the docs as a site into out/site: pages of docs/, the generated reference, a search index. Needs no network. */
import { cpSync, globSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { build } from 'vitepress';
import { siteLinks } from './links.ts';
import { pageFiles, pageOf, ROOT } from './pages.ts';
import { commandsPage, metricsPage, serverConfigurationPage } from './reference.ts';

// BASE: the path below which the site is published, such as /v0.1.0/ beside other versions. SOURCE: where the repository can be
// read, with a slash at its end; links to source files lead there, and are text without it.

const DIRECTORY = join(ROOT, '.cache/site');
const OUT = join(ROOT, 'out/site');
const source = process.env['SOURCE'] || null;

rmSync(DIRECTORY, { recursive: true, force: true });
for (const file of pageFiles()) {
  const page = `${pageOf(file)!}.md`;
  write(page, siteLinks(readFileSync(join(ROOT, file), 'utf8'), file, pageOf, source));
}
cpSync(join(ROOT, 'docs/pictures'), join(DIRECTORY, 'pictures'), { recursive: true });
write('reference/commands.md', commandsPage());
write('reference/metrics.md', await metricsPage());
write('reference/server-configuration.md', serverConfigurationPage());
cpSync(join(import.meta.dirname, 'vitepress-config.ts'), join(DIRECTORY, '.vitepress/config.ts'));
cpSync(join(import.meta.dirname, 'contents.ts'), join(DIRECTORY, '.vitepress/contents.ts'));
await build(DIRECTORY, { outDir: OUT });
const foreign = globSync('**/*.{html,css}', { cwd: OUT }).flatMap((file) =>
  foreignResources(readFileSync(join(OUT, file), 'utf8')).map((address) => `${file}: ${address}`),
);
if (foreign.length > 0) {
  console.error(`The site must load nothing from elsewhere:\n${foreign.join('\n')}`);
  process.exitCode = 1;
}

function write(page: string, text: string): void {
  const path = join(DIRECTORY, page);
  mkdirSync(dirname(path), { recursive: true });
  writeFileSync(path, text);
}

/** What a browser would fetch by itself: not links, which a reader follows. */
function foreignResources(text: string): string[] {
  const loaded =
    /<(?:script|img|iframe|source)[^>]+src="(https?:)?\/\/[^"]*"|<link[^>]+rel="(?:stylesheet|preload|modulepreload|icon|preconnect)"[^>]*href="(?:https?:)?\/\/[^"]*"|url\(["']?https?:[^)]*\)|@import ["']https?:[^"']*/g;
  return [...text.matchAll(loaded)].map(([found]) => found);
}
