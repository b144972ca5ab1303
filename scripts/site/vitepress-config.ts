/** The site by VitePress: contents, search in the browser, and nothing from other hosts. Copied beside the pages (main.ts). */
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { defineConfig } from 'vitepress';
import { contents, folders, unlisted } from './contents.ts';

const pages = join(import.meta.dirname, '..');
/** Versions that CHANGELOG.md names, the newest first; each is published below a path of its own. */
const versions = [
  ...readFileSync(join(pages, 'project/CHANGELOG.md'), 'utf8').matchAll(/^## v?(\d+\.\d+\.\d+)/gm),
].map(([, version]) => version!);

const heading = (folder: string, name: string): string =>
  /^# (.*)$/m.exec(readFileSync(join(pages, folder, name), 'utf8'))?.[1] ?? name;

const inFolder = (folder: string) =>
  readdirSync(join(pages, folder))
    .filter((name) => name !== 'README.md')
    .toSorted()
    .map((name) => ({ text: heading(folder, name), link: `/${folder}/${name.replace(/\.md$/, '')}` }));

const others = unlisted(
  readdirSync(pages)
    .filter((name) => name.endsWith('.md'))
    .map((name) => name.replace(/\.md$/, '')),
).map((page) => ({ text: heading('', `${page}.md`), link: `/${page}` }));

const sections = contents.map(({ text, entries }) => ({
  text,
  collapsed: false,
  items: [
    ...entries.map((one) => ({ text: one.text, link: one.page === 'index' ? '/' : `/${one.page}` })),
    ...folders
      .filter(({ below }) => below === text)
      .map((one) => ({ text: one.text, collapsed: true, items: inFolder(one.folder) })),
  ],
}));

const sidebar = others.length === 0 ? sections : [...sections, { text: 'More', items: others }];

export default defineConfig({
  title: 'FilerPair',
  description: 'Two NFS file servers that cover for each other without moving an IP address',
  base: process.env['BASE'] || '/',
  cleanUrls: false,
  // Its pages name things such as {{ $labels.pod }} and <name>.
  markdown: { html: false, config: (md) => void md.core.ruler.push('literal-braces', literalBraces) },
  themeConfig: {
    sidebar,
    outline: [2, 3],
    search: { provider: 'local' },
    nav: [
      { text: 'Tutorial', link: '/tutorial' },
      { text: 'Runbooks', link: '/runbooks/README' },
      {
        text: versions[0] ?? 'Unreleased',
        items: [
          { text: 'Changes', link: '/project/CHANGELOG' },
          ...versions.map((version) => ({ text: version, link: `/v${version}/`, target: '_self' })),
        ],
      },
    ],
  },
});

interface Token {
  readonly type: string;
  content: string;
  readonly children: Token[] | null;
  attrSet?(name: string, value: string): void;
}

/** Vue would read double braces as an expression: a space of no width between them. */
function literalBraces(state: { readonly tokens: Token[] }): void {
  const visit = (token: Token): void => {
    if (token.type === 'text') token.content = token.content.replaceAll('{{', '{\u200b{');
    for (const child of token.children ?? []) visit(child);
  };
  for (const token of state.tokens) visit(token);
}
