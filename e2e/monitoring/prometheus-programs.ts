/** Prometheus and promtool of the Debian package, unpacked into the cache: nothing is installed, and no service is started. */
import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import type { PrometheusPrograms } from '../environment.ts';
import { type Cache, cached } from '../machine/cache.ts';
import { outcomeOf, run, succeeds } from '../machine/command.ts';
import { NotPossible } from '../machine/not-possible.ts';
import { stage } from '../machine/stage.ts';

/** @throws NotPossible on a system without apt */
export async function prometheusPrograms(cache: Cache): Promise<PrometheusPrograms> {
  if (!(await succeeds(['apt-get', '--version'])))
    throw new NotPossible('Testing alerts needs Prometheus of Debian, and this system has no apt-get.');
  const { stdout } = await outcomeOf(['apt-cache', 'policy', 'prometheus']);
  const directory = await cached(cache, 'prometheus', [stdout.match(/Candidate: (\S+)/)?.[1] ?? ''], (into) =>
    stage('unpacking Prometheus of Debian', async () => {
      await run(['apt-get', '-q', 'download', 'prometheus'], { cwd: into });
      const [archive] = readdirSync(into).filter((name) => name.endsWith('.deb'));
      await run(['dpkg-deb', '--extract', join(into, archive!), into]);
    }),
  );
  return {
    prometheus: join(directory, 'usr/bin/prometheus'),
    promtool: join(directory, 'usr/bin/promtool'),
  };
}
