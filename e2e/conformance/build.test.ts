/**
 * Real work of a real compiler. A C project is unpacked, configured and made in a mount of the Linux kernel's client. Every
 * file that comes out is the same as where it is made on the guest's own file system.
 */
import { basename } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { readCProject, readGuestImage } from '../environment.ts';
import { LocalPair } from '../harness/local-pair.ts';
import { inMount } from './mounted.ts';
import { recordResult } from './record-result.ts';

/** A compiler in an emulated machine, some hundred times. */
const MS_MAX = 25 * 60_000;

interface Built {
  readonly seconds: number;
  readonly files: number;
  readonly objects: number;
}

let pair: LocalPair;
beforeAll(async () => {
  pair = await LocalPair.start();
});
afterAll(() => pair?.stop());

test('what is built in the mount is what is built elsewhere', { timeout: MS_MAX }, async () => {
  const { archive } = readCProject();
  const said = await inMount(pair, {
    image: readGuestImage(),
    script: 'build.sh',
    settings: { SOURCE: basename(archive) },
    files: [archive],
    msMax: MS_MAX,
  });
  expect(said).toContain('BUILD ENDS');
  const built = [...said.matchAll(/^BUILT \S+ in (\d+) s: (\d+) files, (\d+) objects$/gm)].map(
    ([, seconds, files, objects]) => ({
      seconds: Number(seconds),
      files: Number(files),
      objects: Number(objects),
    }),
  );
  expect(built).toHaveLength(2);
  const [mounted, local] = built as [Built, Built];
  expect(mounted).toMatchObject({ files: local.files, objects: local.objects });
  expect(mounted.objects).toBeGreaterThan(10);
  const project = basename(archive).replace(/\.orig\..*$/, '');
  recordResult('build', { project, ...mounted, secondsLocal: local.seconds });
});
