/** The PersistentVolumes of a disk set. */

import type { ServerView } from '../model/view.ts';
import { type Assessment, question } from './assessment.ts';

/** Names of those that are bound. */
export const volumesOf = ({ claims }: ServerView): ReadonlySet<string> =>
  new Set(claims.flatMap(({ bound }) => bound ?? []));

/** The fact about the volumes that has to be known before they are mounted anywhere, and is not; null: all are known. */
export function notKnown(view: Assessment, home: ServerView): string | null {
  for (const { name, is } of home.claims)
    if (is === 'unknown')
      return `the API does not say which volume PersistentVolumeClaim ${name} has, and so not where that is attached`;
  for (const name of volumesOf(home))
    if ((view.observed.volumeFences[name] ?? 'unknown') === 'unknown')
      return `PersistentVolume ${name} has not been seen yet, and so not whether two nodes could have it`;
  return null;
}

/** Names of the volumes of a disk set in Node.status.volumesInUse, as far as they are known. */
export const inUseAs = question((view: Assessment, home: ServerView): string[] =>
  [...volumesOf(home)].flatMap((name) => {
    const fence = view.observed.volumeFences[name];
    return typeof fence === 'object' && fence.inUseAs !== undefined ? [fence.inUseAs] : [];
  }),
);
