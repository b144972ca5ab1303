/** The chart as a package: of the release's version, with the digests of its images, and where they are if that is known. */
import { join } from 'node:path';
import { parseDocument } from 'yaml';
import { type Entry, entriesOf, gzip, tar } from './archive.ts';
import type { ImageName } from './images.ts';
import { ROOT, type Source } from './source.ts';

export interface Published {
  /** Where the images are or will be, such as registry.example.org/filerpair. Empty: who installs has to say it. */
  readonly registry: string;
  readonly digests: Readonly<Record<ImageName, string>>;
}

/** @returns a .tgz as `helm package` makes it */
export async function chartPackage(
  { version, time }: Source,
  { registry, digests }: Published,
): Promise<Buffer> {
  const entries = entriesOf(join(ROOT, 'helm/filerpair'), 'filerpair').map((entry): Entry => {
    if (entry.path === 'filerpair/Chart.yaml') return changed(entry, { version, appVersion: version });
    if (entry.path === 'filerpair/values.yaml')
      return changed(entry, { 'image.registry': registry, 'image.digests': digests });
    return entry;
  });
  return gzip(await tar(entries, time));
}

/** The same text with other values; comments stay. */
function changed(entry: Entry, values: Readonly<Record<string, unknown>>): Entry {
  const document = parseDocument(String(entry.content));
  for (const [path, value] of Object.entries(values)) {
    if (!document.hasIn(path.split('.'))) throw new Error(`${entry.path} has no ${path}`);
    document.setIn(path.split('.'), value);
  }
  return { ...entry, content: Buffer.from(document.toString({ lineWidth: 0 })) };
}
