/** Pushes a release that was built to a registry: images with everything attested about them, then the chart that names them. */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { drivingPrograms } from '../../e2e/kind/go-programs.ts';
import type { Cache } from '../../e2e/machine/cache.ts';
import { run } from '../../e2e/machine/command.ts';
import { needPackages } from '../../e2e/machine/debian-packages.ts';
import { say, stage } from '../../e2e/machine/stage.ts';
import { DIGESTS, imageFile } from './build.ts';
import { chartPackage } from './chart.ts';
import { IMAGES, type ImageName } from './images.ts';
import type { Source } from './source.ts';

/** Where the chart is, below the images' registry. */
const CHARTS = 'charts';

/**
 * @param release directory with the build
 * @param registry such as registry.example.org/filerpair; the caller has logged in (`skopeo login`, `helm registry login`)
 */
export async function publish(
  source: Source,
  cache: Cache,
  release: string,
  registry: string,
): Promise<void> {
  await needPackages(['skopeo'], 'Publishing images');
  const digests = JSON.parse(readFileSync(join(release, DIGESTS), 'utf8')) as Record<ImageName, string>;
  for (const name of Object.keys(IMAGES) as ImageName[]) {
    const from = `oci-archive:${join(release, imageFile(name, source.version))}`;
    const to = `${registry}/${name}:${source.version}`;
    await stage(`pushing ${to}`, () => run(['skopeo', 'copy', '--all', '--quiet', from, `docker://${to}`]));
    const there = `docker://${registry}/${name}@${digests[name]}`;
    await run(['skopeo', 'inspect', '--raw', there]);
  }
  const helm = (await drivingPrograms(cache)).get('helm')!;
  const scratch = mkdtempSync(join(tmpdir(), 'filerpair-chart-'));
  try {
    const file = join(scratch, `filerpair-${source.version}.tgz`);
    writeFileSync(file, await chartPackage(source, { registry, digests }));
    await stage(`pushing the chart to ${registry}/${CHARTS}`, () =>
      run([helm, 'push', file, `oci://${registry}/${CHARTS}`]),
    );
  } finally {
    rmSync(scratch, { recursive: true });
  }
  say(
    `to install it: helm install filerpair oci://${registry}/${CHARTS}/filerpair --version ${source.version} --namespace filerpair-system --create-namespace`,
  );
}
