/** The site has every page of docs/ once, and its links lead to pages that are there. Building it takes longer: `make docs`. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { contents, unlisted } from './contents.ts';
import { siteLinks } from './links.ts';
import { pageFiles, pageOf, ROOT } from './pages.ts';
import { commandsPage, metricsPage, serverConfigurationPage } from './reference.ts';

test('every page of docs/ is in the contents, once: where its place is, or at the end', () => {
  const listed = contents.flatMap(({ entries }) => entries.map(({ page }) => page));
  expect(listed.length).toBe(new Set(listed).size);
  const generated = ['reference/commands', 'reference/metrics', 'reference/server-configuration'];
  const there = [...pageFiles().map((file) => pageOf(file)!), ...generated];
  expect(listed.filter((page) => !there.includes(page))).toEqual([]);
  expect(unlisted(['operator', 'new-page', 'adr/0001', 'a-page'])).toEqual(['a-page', 'new-page']);
});

test('links lead to pages of the site; what is not on it becomes text', () => {
  const links = (text: string, page = 'docs/operator.md') => siteLinks(text, page, pageOf, null);
  expect(links('[a](safety.md#r1) [b](../operator/main.ts) [c](https://x.y)')).toBe(
    '[a](./safety.md#r1) b [c](https://x.y)',
  );
  expect(links('[a](../CHANGELOG.md) [b](runbooks/README.md)')).toBe(
    '[a](./project/CHANGELOG.md) [b](./runbooks/README.md)',
  );
  expect(links('[a](docs/operator.md)', 'CHANGELOG.md')).toBe('[a](../operator.md)');
  expect(links('    [a](x.md)\n```\n[b](y.md)\n```')).toBe('    [a](x.md)\n```\n[b](y.md)\n```');
  expect(siteLinks('[b](../operator/main.ts)', 'docs/operator.md', pageOf, 'https://code/')).toBe(
    '[b](https://code/operator/main.ts)',
  );
  for (const file of pageFiles())
    expect(() => siteLinks(readFileSync(join(ROOT, file), 'utf8'), file, pageOf, null)).not.toThrow();
});

test('the reference names every metric with what it means, and every field of a server’s configuration', async () => {
  const metrics = await metricsPage();
  for (const name of [
    'filerpair_condition',
    'filerpair_operator_transitions_total',
    'filerpair_volume_available_bytes',
    'filerpair_nfs_call_seconds',
    'filerpair_client_call_seconds',
  ])
    expect(metrics).toMatch(new RegExp(`\\| \`${name}\` \\| \\w+ \\| .{20}`));
  const commands = commandsPage();
  for (const heading of ['## kubectl filerpair', '### kubectl filerpair ui', '### filerpair proxy'])
    expect(commands.split('\n')).toContain(heading);
  expect(commands).toContain('--metrics <HOST:PORT>');
  const configuration = serverConfigurationPage();
  expect(configuration).toMatch(/\| `timing.leaseMs` \| `int\(\)\.min\(200\).*default\(2000\)`/);
  expect(configuration).toMatch(/\| `diskSets.volumes.name` \|/);
  expect(configuration).toMatch(/\| `stopMs` \|.*planned stop/);
});
