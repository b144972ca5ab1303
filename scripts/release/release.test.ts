import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { buffer } from 'node:stream/consumers';
import { gunzipSync } from 'node:zlib';
import { extract } from 'tar-stream';
import { expect, test } from 'vitest';
import { parse } from 'yaml';
import { BUNDLE_VERSION } from '../../crds/group.ts';
import { entriesOf, sha256, tar } from './archive.ts';
import { chartPackage } from './chart.ts';
import { differences } from './compare.ts';
import { ROOT, type Source } from './source.ts';
import { provenanceOf } from './statements.ts';
import { changelogSection, definitions, krewManifest } from './texts.ts';

const read = (path: string): string => readFileSync(join(ROOT, path), 'utf8');
const source: Source = { version: '1.2.3', commit: 'c0ffee', time: 1_700_000_000, changed: false };

function inDirectory(work: (directory: string) => Promise<void> | void): Promise<void> {
  const directory = mkdtempSync(join(tmpdir(), 'filerpair-release-test-'));
  return Promise.resolve(work(directory)).finally(() => rmSync(directory, { recursive: true }));
}

/** Paths with what tar says of them. */
async function listed(archive: Buffer): Promise<Map<string, { mode: number; text: string }>> {
  const files = new Map<string, { mode: number; text: string }>();
  const reading = extract();
  reading.end(archive);
  for await (const entry of reading) {
    expect(entry.header).toMatchObject({ uid: 0, gid: 0, mtime: new Date(source.time * 1000) });
    files.set(entry.header.name, { mode: entry.header.mode, text: (await buffer(entry)).toString() });
  }
  return files;
}

test('has one version', () => {
  const { version } = JSON.parse(read('package.json')) as { version: string };
  const chart = parse(read('helm/filerpair/Chart.yaml')) as { version: string; appVersion: string };
  const client = JSON.parse(read('client/package.json')) as { version: string };
  expect([chart.version, chart.appVersion, client.version, BUNDLE_VERSION]).toEqual(Array(4).fill(version));
  expect(read('README.md')).toContain(`$REGISTRY/fileserver:${version} `);
});

test('an archive depends on what is in it, not on the order or the time in which it came', () =>
  inDirectory(async (directory) => {
    const make = async (names: readonly string[], place: string) => {
      mkdirSync(join(directory, place, 'sub'), { recursive: true });
      for (const name of names)
        writeFileSync(join(directory, place, name), name, { mode: name === 'b' ? 0o700 : 0o600 });
      return tar(entriesOf(join(directory, place), 'top/app'), source.time);
    };
    const one = await make(['a', 'b', 'sub/c'], 'one');
    const other = await make(['sub/c', 'b', 'a'], 'other');
    expect(sha256(one)).toBe(sha256(other));
    const files = await listed(one);
    expect([...files.keys()]).toEqual(
      ['top', 'top/app', 'top/app/a', 'top/app/b', 'top/app/sub', 'top/app/sub/c'].map((path) =>
        files.has(path) ? path : `${path}/`,
      ),
    );
    expect([files.get('top/app/a'), files.get('top/app/b')]).toEqual([
      { mode: 0o644, text: 'a' },
      { mode: 0o755, text: 'b' },
    ]);
  }));

test('the chart of a release knows its version, its registry and its digests, and keeps its comments', async () => {
  const digests = { operator: `sha256:${'1'.repeat(64)}`, fileserver: `sha256:${'2'.repeat(64)}` };
  const registry = 'registry.example.org/filerpair';
  const files = await listed(gunzipSync(await chartPackage(source, { registry, digests })));
  expect(parse(files.get('filerpair/Chart.yaml')!.text)).toMatchObject({
    version: '1.2.3',
    appVersion: '1.2.3',
  });
  const values = files.get('filerpair/values.yaml')!.text;
  const own = parse(read('helm/filerpair/values.yaml')) as { image: object };
  expect(parse(values)).toEqual({ ...own, image: { ...own.image, registry, digests } });
  expect(values).toContain('# Where the images of the release are');
});

test('the changes are those of the version, or of what is not released yet', () => {
  const changelog =
    '# Changelog\n\n## Unreleased\n- new\n\n## 1.2.3\n- old\n### Part\n- too\n\n## 1.2.2\n- older\n';
  expect(changelogSection(changelog, '1.2.3')).toBe('## 1.2.3\n- old\n### Part\n- too\n\n');
  expect(changelogSection(changelog, '1.3.0')).toBe('## Unreleased\n- new\n\n');
  expect(() => changelogSection('# Changelog\n', '1')).toThrow('no section');
});

test("krew's manifest has an archive for each processor", () => {
  const archives = ['amd64', 'arm64'].map((processor) => ({
    processor,
    file: `f-${processor}`,
    sha256: 'ab',
  }));
  const { spec } = parse(krewManifest(source, 'https://example.org', archives)) as {
    spec: { version: string; platforms: object[] };
  };
  expect(spec.version).toBe('v1.2.3');
  expect(spec.platforms).toMatchObject([
    { selector: { matchLabels: { os: 'linux', arch: 'amd64' } }, uri: 'https://example.org/f-amd64' },
    { selector: { matchLabels: { os: 'linux', arch: 'arm64' } }, uri: 'https://example.org/f-arm64' },
  ]);
});

test('the definitions are all of them, in one file', () => {
  expect(definitions().match(/^kind: CustomResourceDefinition$/gm)).toHaveLength(5);
});

test('provenance names the commit and what came from others, and no time of the build', () => {
  const material = {
    purl: 'pkg:deb/debian/tini@1',
    name: 'tini',
    version: '1',
    hash: { alg: 'SHA-256', content: 'cd' },
  } as const;
  expect(provenanceOf([{ name: 'file', sha256: 'ef' }], source, [material])).toMatchObject({
    subject: [{ name: 'file', digest: { sha256: 'ef' } }],
    predicateType: 'https://slsa.dev/provenance/v1',
    predicate: {
      buildDefinition: {
        externalParameters: { commit: 'c0ffee', version: '1.2.3' },
        resolvedDependencies: [
          { name: 'filerpair', digest: { gitCommit: 'c0ffee' } },
          { uri: 'pkg:deb/debian/tini@1', digest: { sha256: 'cd' } },
        ],
      },
      runDetails: { builder: { id: 'https://filerpair.dev/make-release' } },
    },
  });
});

test('two builds differ in what one of them has otherwise, or alone', () =>
  inDirectory((directory) => {
    for (const name of ['one', 'other']) {
      mkdirSync(join(directory, name));
      writeFileSync(join(directory, name, 'same'), 'same');
      writeFileSync(join(directory, name, 'changed'), name);
    }
    writeFileSync(join(directory, 'other/more'), '');
    expect(differences(join(directory, 'one'), join(directory, 'other'))).toEqual(['changed', 'more']);
  }));
