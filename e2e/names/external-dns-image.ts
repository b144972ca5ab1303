/** The image of the real external-dns: its one program, on nothing. */
import { copyFileSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, dirname, join } from 'node:path';
import { externalDns } from '../kind/go-programs.ts';
import { EXTERNAL_DNS } from '../kind/versions.ts';
import type { Cache } from '../machine/cache.ts';
import { run } from '../machine/command.ts';
import { imageExists } from '../machine/docker-images.ts';

/** Makes the image available to the engine and returns its reference. */
export async function externalDnsImage(cache: Cache): Promise<string> {
  const program = await externalDns(cache);
  // The cache names its directory by everything that the program was made of.
  const reference = `filerpair/e2e-external-dns:${EXTERNAL_DNS}-${basename(dirname(program)).split('-').at(-1)}`;
  if (await imageExists(reference)) return reference;
  const directory = mkdtempSync(join(tmpdir(), 'filerpair-'));
  try {
    const tar = join(directory, 'image.tar');
    copyFileSync(program, join(directory, 'external-dns'));
    await run(['tar', '-C', directory, '--owner=0', '--group=0', '-cf', tar, './external-dns']);
    await run(['docker', 'import', '--change', 'ENTRYPOINT ["/external-dns"]', tar, reference]);
  } finally {
    rmSync(directory, { recursive: true, force: true });
  }
  return reference;
}
