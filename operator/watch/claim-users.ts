/** Which FilerPairs name which claims: what one pair takes or leaves, another one may have to leave or may have. */

import type { KubernetesObject } from '../../kubernetes/objects.ts';
import type { Change } from '../../kubernetes/reflector.ts';
import { byName } from '../model/by-name.ts';
import { namedVolumes } from '../model/effective-pair.ts';
import type { FilerPairObject } from '../model/objects.ts';
import type { Observed } from '../model/observed.ts';
import { type ClusterCopy, keyOf } from './cluster-copy.ts';
import { objectOf } from './concerned-pairs.ts';

/** No more of a FilerPair: the object itself would stay in memory beside every later version of it. */
interface User {
  readonly namespace: string;
  readonly name: string;
  readonly uid: string | undefined;
  readonly since: string;
}

export class ClaimUsers {
  readonly #copy: ClusterCopy;
  /** By namespace and name of a claim. Made anew after specs have changed only. */
  #users: ReadonlyMap<string, readonly User[]> | null = null;

  constructor(copy: ClusterCopy) {
    this.#copy = copy;
  }

  /** The other pairs that name one of these claims. */
  others(pair: FilerPairObject | null, claims: Observed['claims']): Observed['claimUsers'] {
    const { namespace = '', uid } = pair?.metadata ?? {};
    const found = byName<Observed['claimUsers'][string]>();
    for (const name of pair === null ? [] : Object.keys(claims)) {
      const others = (this.#all().get(keyOf(namespace, name)) ?? []).filter((one) => one.uid !== uid);
      if (others.length > 0) found[name] = others.map((one) => ({ name: one.name, since: one.since }));
    }
    return found;
  }

  /** Keys of the pairs that a change of a FilerPair concerns, beside itself. */
  changed(change: Change<KubernetesObject>): string[] {
    const named = claimKeys(objectOf(change) as FilerPairObject);
    const before = change.kind === 'modified' ? claimKeys(change.previous as FilerPairObject) : named;
    if (change.kind === 'modified' && before.join() === named.join()) return [];
    this.#users = null;
    return before
      .flatMap((key) => this.#all().get(key) ?? [])
      .map((user) => keyOf(user.namespace, user.name));
  }

  #all(): ReadonlyMap<string, readonly User[]> {
    if (this.#users !== null) return this.#users;
    const users = new Map<string, User[]>();
    for (const pair of this.#copy.values('filerPairs')) {
      const { namespace = '', name = '', uid, creationTimestamp: since = '' } = pair.metadata;
      const user = { namespace, name, uid, since };
      for (const key of claimKeys(pair)) {
        const known = users.get(key);
        if (known === undefined) users.set(key, [user]);
        else known.push(user);
      }
    }
    this.#users = users;
    return users;
  }
}

/** Names of the claims that a FilerPair names. */
export const claimNames = ({ metadata, spec }: FilerPairObject): string[] =>
  namedVolumes(metadata.name ?? '', spec).map(({ claimName }) => claimName);

const claimKeys = (pair: FilerPairObject): string[] =>
  claimNames(pair).map((name) => keyOf(pair.metadata.namespace ?? '', name));
