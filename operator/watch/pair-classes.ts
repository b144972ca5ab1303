/** Which FilerPairClass a FilerPair has: the one that it names, else the one that is marked as the default. */

import { DEFAULT_CLASS_ANNOTATION } from '../../crds/filer-pair-class.ts';
import type { FilerPairClassObject, FilerPairObject } from '../model/objects.ts';
import type { Observed } from '../model/observed.ts';
import type { ClusterCopy } from './cluster-copy.ts';

export function classOfPair(copy: ClusterCopy, pair: FilerPairObject | null): Observed['pairClass'] {
  if (pair === null) return null;
  const { className } = pair.spec ?? {};
  if (className !== undefined) return copy.get('filerPairClasses', undefined, className) ?? 'absent';
  const defaults = [...copy.values('filerPairClasses')].filter(
    ({ metadata }) => metadata.annotations?.[DEFAULT_CLASS_ANNOTATION] === 'true',
  );
  // The newest of several counts, as with StorageClasses.
  return defaults.toSorted((a, b) => (age(a) < age(b) ? 1 : -1))[0] ?? null;
}

const age = ({ metadata }: FilerPairClassObject): string => `${metadata.creationTimestamp} ${metadata.name}`;
