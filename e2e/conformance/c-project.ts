/**
 * The C project that is built in a mount: the sources of dash, a shell, as Debian packages them. Small, and it has all that
 * building has: a configure script, programs that write sources for others, a hundred files.
 */
import { mkdirSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { type Cache, cached } from '../machine/cache.ts';
import { run } from '../machine/command.ts';
import { stage } from '../machine/stage.ts';

const PROJECT = 'dash';
const VERSION = '0.5.12-2';
const SOURCES = 'deb-src http://deb.debian.org/debian bookworm main\n';

/** Path of the sources' archive, fetched with apt: checked against the signed index. */
export async function cProject(cache: Cache): Promise<string> {
  const directory = await cached(cache, `source-${PROJECT}`, [VERSION, SOURCES], (into) =>
    stage(`fetching the sources of ${PROJECT} ${VERSION}`, async () => {
      const apt = join(into, 'apt');
      for (const name of ['lists/partial', 'cache']) mkdirSync(join(apt, name), { recursive: true });
      writeFileSync(join(apt, 'sources.list'), SOURCES);
      // A list of its own: the machine's may have no sources in it.
      const options = [
        `Dir::Etc::SourceList=${join(apt, 'sources.list')}`,
        'Dir::Etc::SourceParts=/dev/null',
        `Dir::State::Lists=${join(apt, 'lists')}`,
        `Dir::Cache=${join(apt, 'cache')}`,
        'APT::Sandbox::User=root',
      ].flatMap((option) => ['-o', option]);
      await run(['apt-get', '-q', ...options, 'update']);
      const wanted = ['--download-only', '--only-source', `${PROJECT}=${VERSION}`];
      await run(['apt-get', '-q', ...options, 'source', ...wanted], { cwd: into });
      rmSync(apt, { recursive: true });
    }),
  );
  const name = readdirSync(directory).find((one) => /\.orig\.tar\.[a-z0-9]+$/.test(one));
  if (name === undefined) throw new Error(`the source package of ${PROJECT} has no archive of its sources`);
  return join(directory, name);
}
