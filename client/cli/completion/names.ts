/** Names that a cluster or a kubeconfig has, for completion. */
import { resources } from '../../../kubernetes/resource.ts';
import type { Completes, Flags } from '../command.ts';
import { inCluster, type PairObject } from '../pairs/cluster.ts';
import { contextNames } from '../pairs/kubeconfig.ts';
import type { Candidate } from './candidates.ts';

const SILENT = { stderr: { line: () => {} } };

export async function namesOf(what: Completes, flags: Flags): Promise<Candidate[]> {
  if (what === 'context') return (await contextNames(flags)).map((value) => ({ value, help: '' }));
  const inAll = what === 'namespace';
  const pairs = await inCluster(flags, { timeoutMs: undefined }, SILENT, async ({ client, namespace }) => {
    return (await client.list<PairObject>(resources.filerPairs, inAll ? {} : { namespace })).items;
  });
  if (inAll) return [...new Set(pairs.map(({ metadata }) => metadata.namespace ?? ''))].map(plain);
  if (what === 'pair')
    return pairs.map(({ metadata, status }) => ({ value: metadata.name ?? '', help: status?.summary ?? '' }));
  return pairs.flatMap(({ metadata, spec }) =>
    spec.servers.map(({ name }) => ({ value: name, help: `of ${metadata.name}` })),
  );
}

const plain = (value: string): Candidate => ({ value, help: '' });
