/**
 * What no status may say, checked after every decision of every test's world and model. It knows nothing of the policies: only
 * Leases, pods and nodes as the API has them, and the words that stand in the status.
 */

import type { Condition } from '../../crds/condition.ts';
import { diskSetReasons, pairReasons, serverReasons } from '../../crds/pair/reasons.ts';
import { leaseAnnotations, nodeAnnotations } from '../../kubernetes/labels-and-annotations.ts';
import type { Plan } from '../model/action.ts';
import type { FilerPairOperationObject, Pod } from '../model/objects.ts';
import type { Observed } from '../model/observed.ts';

/** The lies of the status that stands once the plan is carried out, and the contradictions of the plan; none: []. */
export function statusLies(observed: Observed, plan: Plan): string[] {
  const { conditions = [] } = plan.status ?? observed.pair?.status ?? {};
  const of = (type: string) => conditions.find((one) => one.type === type);
  return [
    ...(of('Ready')?.status === 'True' ? unserved(observed).map((why) => `Ready is True, but ${why}`) : []),
    ...marksOfLiving(observed, plan, of('Degraded')?.message ?? ''),
    ...doneByOthers(observed, plan),
    ...unlistedReasons(plan),
  ];
}

/** Programs rely on the lists of reasons. */
function unlistedReasons({ status }: Plan): string[] {
  const unlisted = (lists: typeof pairReasons, conditions: readonly Condition[] | undefined): string[] =>
    (conditions ?? [])
      .filter(({ type, reason }) => lists[type]?.[reason] === undefined)
      .map(({ type, reason }) => `reason ${reason} of ${type} is not listed`);
  return [
    ...unlisted(pairReasons, status?.conditions),
    ...(status?.servers ?? []).flatMap(({ conditions }) => unlisted(serverReasons, conditions)),
    ...(status?.diskSets ?? []).flatMap(({ conditions }) => unlisted(diskSetReasons, conditions)),
  ];
}

/** A move that is told as Complete is so in this reconcile: its reader may be about to switch the old owner off. */
export const doneByOthers = (
  { leases, filerPairOperations }: Observed,
  plan: Pick<Plan, 'actions'>,
): string[] =>
  plan.actions.flatMap((action) => {
    if (action.kind !== 'applyStatus' || action.resource !== 'filerPairOperations') return [];
    const { status, metadata } = action.object as FilerPairOperationObject;
    const complete = status?.conditions?.some((one) => one.type === 'Complete' && one.status === 'True');
    const spec = filerPairOperations.find((one) => one.metadata.name === metadata.name)?.spec;
    const { server } = spec?.takeover ?? spec?.giveback ?? {};
    if (complete !== true || server === undefined) return [];
    const lease = leases.find((one) => one.metadata.name === `${spec?.pairRef.name}.${server}`);
    const holder = lease?.spec?.holderIdentity?.split('/')[0] ?? '';
    return holder !== '' && (holder === server) === (spec?.type === 'Giveback')
      ? []
      : [`the ${spec?.type} of ${server} is Complete, but ${holder === '' ? 'nobody' : holder} owns it`];
  });

/** Ready=True: for each disk set there is a process that may serve, or it is on its way from one to another. */
function unserved(observed: Observed): string[] {
  return observed.leases.flatMap((lease) => {
    const { name } = lease.metadata;
    const [server = '', podUid] = lease.spec?.holderIdentity?.split('/') ?? [];
    const pod = observed.pods.find(({ metadata }) => metadata.uid === podUid);
    const to = lease.metadata.annotations?.[leaseAnnotations.releasedTo];
    if (server === '' && observed.pods.some((one) => serverOf(one) === to && runs(one))) return [];
    if (pod === undefined) return [`Lease ${name} names a pod that is not there`];
    if (!runs(pod)) return [`Lease ${name} names a pod whose server does not run`];
    if (!isSilent(observed, pod)) return [];
    // Somebody would have taken over by himself, and has not.
    const mayTakeOver =
      (observed.pair?.spec?.failover?.mode ?? 'Automatic') === 'Automatic' &&
      lease.metadata.annotations?.[leaseAnnotations.maintenance] === undefined;
    const partnerRuns = observed.pods.some((one) => {
      const of = serverOf(one);
      return of !== undefined && of !== server && runs(one) && !isSilent(observed, one);
    });
    return mayTakeOver && partnerRuns
      ? []
      : [`Lease ${name} names a pod on a silent node, and nobody would know`];
  });
}

/** No node is marked from which a server serves, by the status of the same look. */
function marksOfLiving(observed: Observed, plan: Plan, degraded: string): string[] {
  if (!degraded.includes('so it is alive')) return [];
  const living = observed.pods.filter(({ metadata }) => degraded.includes(metadata.name ?? ''));
  return plan.actions.flatMap((action) => {
    if (action.kind !== 'patch' || action.resource !== 'nodes') return [];
    const { annotations } =
      (action.patch as { metadata?: { annotations?: Record<string, unknown> } }).metadata ?? {};
    if (typeof annotations?.[nodeAnnotations.outOfService] !== 'string') return [];
    return living
      .filter(({ spec }) => spec?.nodeName === action.name)
      .map(({ metadata }) => `${action.name} is marked, and pod ${metadata.name} there is said to be alive`);
  });
}

const serverOf = ({ metadata }: Pod): string | undefined => metadata.labels?.['filerpair.dev/server'];

const runs = ({ status }: Pod): boolean =>
  status?.containerStatuses?.some(({ name, state }) => name === 'server' && state?.running !== undefined) ===
  true;

const isSilent = ({ nodes, nodesGone }: Observed, { spec }: Pod): boolean => {
  const name = spec?.nodeName ?? '';
  return (
    nodesGone[name] !== undefined ||
    nodes[name]?.status?.conditions?.some(({ type, status }) => type === 'Ready' && status === 'Unknown') ===
      true
  );
};
