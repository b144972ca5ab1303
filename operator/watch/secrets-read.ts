/**
 * Content of a pair's Secrets. They cannot be watched without the right to read everybody's. So they are read when a pair
 * is reconciled for another reason, once a minute at most, and whenever a pod waits to be started: without its Secret it waits
 * forever. Otherwise nobody waits for them: the reconcile may be about the death of a server.
 */

import { serviceNameOf } from '../../crds/pair/filer-pair.ts';
import { handleKeysName, labels } from '../../kubernetes/labels-and-annotations.ts';
import type { KubernetesObject } from '../../kubernetes/objects.ts';
import { resources } from '../../kubernetes/resource.ts';
import { byName } from '../model/by-name.ts';
import {
  authorityName,
  certificateDnsName,
  certificateName,
  requestedCertificateName,
} from '../model/names.ts';
import type { FilerPairObject, Pod } from '../model/objects.ts';
import type { ObservedCredentials } from '../model/observed.ts';
import { authorityFacts, type Secret, serverCertificateFacts } from './certificates.ts';
import type { DirectRead } from './direct-read.ts';

/** A pair whose Secrets alone have changed is reconciled after this long at most. ms */
const AGE_MS_MAX = 60_000;

const UNKNOWN: ObservedCredentials = {
  handleKeys: 'unknown',
  authority: 'unknown',
  servers: {},
  offered: {},
};

export class SecretsRead {
  readonly #read: DirectRead;
  /** By UID of the pair: what was in its Secrets when they were read last. */
  readonly #known = new Map<string, { readonly seen: ObservedCredentials; readonly at: number }>();

  constructor(read: DirectRead) {
    this.#read = read;
  }

  /** Has the Secrets read again the next time that they are asked for: those of one pair, or of all. */
  forget(pairUid?: string): void {
    if (pairUid === undefined) this.#known.clear();
    else this.#known.delete(pairUid);
  }

  /** `changed` is called when a read in the background finds something else. */
  async of(
    pair: FilerPairObject | null,
    pods: readonly Pod[],
    changed: () => void,
  ): Promise<ObservedCredentials> {
    if (pair === null) return UNKNOWN;
    const { uid = '' } = pair.metadata;
    const known = this.#known.get(uid);
    if (known === undefined || pods.some(({ status }) => status?.phase === 'Pending')) {
      const seen = await this.#readAll(pair);
      this.#known.set(uid, { seen, at: Date.now() });
      return seen;
    }
    if (Date.now() - known.at >= AGE_MS_MAX) {
      const meanwhile = { seen: known.seen, at: Date.now() };
      this.#known.set(uid, meanwhile);
      void this.#readAll(pair).then((seen) => {
        // Forgotten or read again meanwhile: this may be the older of the two.
        if (this.#known.get(uid) !== meanwhile || JSON.stringify(seen) === JSON.stringify(known.seen)) return;
        this.#known.set(uid, { seen, at: Date.now() });
        changed();
      });
    }
    return known.seen;
  }

  async #readAll(pair: FilerPairObject): Promise<ObservedCredentials> {
    const { namespace = '', name = '' } = pair.metadata;
    const { servers: specs = [], monitoring, interconnect } = pair.spec ?? {};
    const read = (secret: string) => this.#read<Secret>(resources.secrets, namespace, secret);
    const mine = async (secret: string): Promise<Secret | 'absent' | 'unknown'> => {
      const found = await read(secret);
      // Somebody else's: to make our own fails, and says so.
      return typeof found === 'string' || belongsTo(found, pair) ? found : 'absent';
    };
    const offered = byName<ObservedCredentials['offered'][string]>();
    const certificatesOfOthers = specs.map(({ name: server, interconnectCertificateRef }) =>
      interconnect?.tls?.source === 'CertManager'
        ? requestedCertificateName(name, server)
        : interconnectCertificateRef?.name,
    );
    for (const secret of [...certificatesOfOthers, monitoring?.tokenSecretRef?.name]) {
      if (secret === undefined) continue;
      const found = await read(secret);
      offered[secret] =
        typeof found === 'string'
          ? found
          : found.metadata.labels?.[labels.offeredTo] === name
            ? 'offered'
            : 'not offered';
    }
    const [handles, authority, ...certificates] = await Promise.all([
      mine(handleKeysName(name)),
      mine(authorityName(name)),
      ...specs.map((server) => mine(certificateName(name, server.name))),
    ]);
    const facts = typeof authority === 'string' ? authority : authorityFacts(authority);
    const authorities =
      typeof facts === 'object' && 'newest' in facts ? [facts.newest, ...facts.previous] : [];
    const servers = specs.map((spec, index) => {
      const own = certificates[index] ?? 'unknown';
      const seen =
        typeof own === 'string'
          ? own
          : serverCertificateFacts(
              own,
              certificateDnsName(serviceNameOf(name, spec), namespace),
              authorities,
            );
      return [spec.name, seen] as const;
    });
    return {
      handleKeys: typeof handles === 'string' ? handles : 'there',
      authority: facts,
      servers: Object.fromEntries(servers),
      offered,
    };
  }
}

/** By its label, or, where that was removed, by its owner. */
const belongsTo = ({ metadata }: KubernetesObject, pair: FilerPairObject): boolean =>
  metadata.labels?.[labels.pair] === pair.metadata.name ||
  metadata.ownerReferences?.some(({ uid }) => uid === pair.metadata.uid) === true;
