/** What users of FilerPair have on a Linux machine, for the guest: Node, `filerpair` and the helper of mount(8), as a tar file. */
import { chmodSync, cpSync, mkdirSync, rmSync, symlinkSync } from 'node:fs';
import { join } from 'node:path';
import { REPOSITORY } from '../environment.ts';
import { run } from '../machine/command.ts';
import { padToSectors } from './guest.ts';

const NATIVE_PACKAGES = ['koffi', '@koromix'];
const PROGRAM = '/opt/filerpair/dist/client/cli/main.js';

/** The guest's commands that unpack the file: it is the third disk. */
export const UNPACK_PROGRAMS = 'tar xf /dev/vdc -C / --no-same-owner --keep-directory-symlink';

/** Bundles the client of these sources. Returns the path of the tar file. */
export async function packGuestPrograms(): Promise<string> {
  const cache = join(REPOSITORY, '.cache/e2e');
  const bundles = join(cache, 'guest-bundles');
  const root = join(cache, 'guest-programs');
  rmSync(root, { recursive: true, force: true });
  await run([process.execPath, join(REPOSITORY, 'scripts/bundle.ts'), bundles]);
  const installed = join(root, 'opt/filerpair');
  cpSync(join(bundles, 'client'), join(installed, 'dist/client'), { recursive: true });
  chmodSync(join(root, PROGRAM), 0o755);
  for (const name of NATIVE_PACKAGES)
    cpSync(join(REPOSITORY, 'node_modules', name), join(installed, 'node_modules', name), {
      recursive: true,
    });
  for (const directory of ['usr/bin', 'usr/local/bin', 'usr/sbin'])
    mkdirSync(join(root, directory), { recursive: true });
  // Where mount(8) looks, too: its helpers do not find programs in /usr/local/bin.
  cpSync(process.execPath, join(root, 'usr/bin/node'));
  symlinkSync(PROGRAM, join(root, 'usr/local/bin/filerpair'));
  symlinkSync(PROGRAM, join(root, 'usr/sbin/mount.filerpair'));
  const archive = join(cache, 'guest-programs.tar');
  await run(['tar', '-cf', archive, '-C', root, '.']);
  padToSectors(archive);
  return archive;
}
