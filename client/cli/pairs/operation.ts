/** A FilerPairOperation, from its making to its end, for the commands that ask for one. */
import { isNotFound } from '../../../kubernetes/api-error.ts';
import { apiVersionOf, resources } from '../../../kubernetes/resource.ts';
import { CommandError, type CommonOptions, type Flags } from '../command.ts';
import {
  type Cluster,
  type DiskSetObject,
  type OperationObject,
  type ServerMeant,
  whenObject,
} from './cluster.ts';

const TIMEOUT_MS = 60_000;

/** A value that is given, and not empty. */
export const given = (flags: Flags, name: string): string | undefined => {
  const value = flags[name];
  return typeof value === 'string' && value !== '' ? value : undefined;
};

const conditionOf = ({ status }: OperationObject, type: 'Complete' | 'Failed') =>
  status?.conditions?.find((one) => one.type === type && one.status === 'True');

type Wanted = Pick<OperationObject['spec'], 'pairRef' | 'type'> & Partial<OperationObject['spec']>;
type Name = { readonly name: string } | { readonly generateName: string };

/** @returns what the operator says at its end, or what stands in for it where its end is not waited for */
export async function operate(
  cluster: Cluster,
  metadata: Name,
  spec: Wanted,
  flags: Flags,
  common: CommonOptions,
): Promise<string> {
  const reason = given(flags, 'reason');
  const wanted = { ...spec, ...(reason === undefined ? {} : { reason }) };
  const name = await createOperation(cluster, metadata, wanted, common);
  if (common.dryRun) return `would create: ${JSON.stringify(wanted)} (the API server accepts it)`;
  if (flags['no-wait'] === true) return `FilerPairOperation ${name} is created`;
  return operationEnd(cluster, name, common.timeoutMs ?? TIMEOUT_MS);
}

/** @returns its name */
export async function createOperation(
  { client, namespace }: Cluster,
  metadata: Name,
  spec: Wanted,
  { dryRun }: Pick<CommonOptions, 'dryRun'>,
): Promise<string> {
  const wanted = {
    apiVersion: apiVersionOf(resources.filerPairOperations),
    kind: resources.filerPairOperations.kind,
    metadata: { ...metadata, namespace },
    spec,
  } as OperationObject;
  const made = await client.create(resources.filerPairOperations, wanted, { dryRun });
  return made.metadata.name ?? '';
}

/** @returns what the operator says at its end; throws that if the operation fails */
export async function operationEnd(
  cluster: Cluster,
  name: string,
  timeoutMs: number,
  stop?: AbortSignal,
): Promise<string> {
  const { namespace } = cluster;
  const ended = await whenObject<OperationObject>(cluster, resources.filerPairOperations, name, {
    is: (one) => conditionOf(one, 'Complete') !== undefined || conditionOf(one, 'Failed') !== undefined,
    timeoutMs,
    stop,
    late: (latest) => {
      const { message } = latest?.status?.conditions?.find(({ type }) => type === 'Complete') ?? {};
      return `FilerPairOperation ${name} has not ended within ${timeoutMs / 1000} s and goes on${message === undefined ? '' : `: ${message}`} (kubectl -n ${namespace} wait filerpairoperation/${name} --for condition=Complete; delete it to take it back)`;
    },
  });
  const failed = conditionOf(ended, 'Failed');
  if (failed !== undefined) throw new CommandError(failed.message);
  return conditionOf(ended, 'Complete')!.message;
}

/** The record of a disk set as it is now. */
export async function recordOf(
  { client, namespace }: Cluster,
  { pair, server }: ServerMeant,
): Promise<DiskSetObject> {
  const name = `${pair.metadata.name}.${server}`;
  const record = await client
    .get<DiskSetObject>(resources.filerDiskSets, { namespace, name })
    .catch((error: unknown) => {
      if (isNotFound(error)) return undefined;
      throw error;
    });
  if (record?.status?.epoch === undefined)
    throw new CommandError(
      `the epoch of the disk set of ${server} is not known: does the operator run? kubectl filerpair status shows what it said last`,
    );
  return record;
}
