/**
 * Deliberate faults of the operator, each one clause left out of the real deciding or executing code: what it is told, what
 * it wants, or how it carries that out. The model must catch every one of them.
 */
import type { FilerPairStatus } from '../../crds/pair/status.ts';
import type { KubernetesObject } from '../../kubernetes/objects.ts';
import type { Action } from '../../operator/model/action.ts';
import type { Claim, FilerPairOperationObject, Node } from '../../operator/model/objects.ts';
import type { Observed } from '../../operator/model/observed.ts';

/** Protection of a volume from two nodes in the simulated cluster. */
export type Fence =
  /** The driver attaches, to one node at a time. */
  | 'attach'
  /** The volume's own access modes let two nodes have it attached. */
  | 'multi'
  /** The driver attaches nothing. */
  | 'none';

export interface OperatorVariant {
  readonly name: string;
  /** The clause that is left out, as a sentence for docs/safety.md. */
  readonly clause: string;
  /** Pattern of the violation that it must lead to. */
  readonly caughtAs: RegExp;
  /** Seeds within which that happens, from the first or from this one. */
  readonly from?: number;
  readonly seedsMax: number;
  /** Which it takes to see it; absent: any. */
  readonly fence?: Fence;
  /** The whole of decide() is needed, not only what moves disks. */
  readonly whole?: true;
  /** As in the options of a run. */
  readonly wishes?: true;
  readonly pairGoes?: true;
  readonly hears?: (observed: Observed) => Observed;
  readonly wants?: (actions: readonly Action[], observed: Observed) => readonly Action[];
  readonly tells?: (status: FilerPairStatus, observed: Observed) => FilerPairStatus;
  /** A node that the cache lacks is gone, and has been for long. */
  readonly asksForNodes?: false;
  /** The first refusal ends the plan. */
  readonly stopsAtRefusal?: true;
  /**
   * Where chance alone would take a hundred thousand seeds: moves whose names match nearly always come first, given what operators
   * have asked for and not been answered. null: none.
   */
  readonly hurries?: (requests: readonly string[]) => RegExp | null;
}

/** Everybody but the kubelets that have something to let go. */
const KUBELETS_LAST = /^(?!.*( unmounts | ends what is left of | ends home-))/;

const exclusive: Observed['volumeFences'][string] = {
  accessModes: ['ReadWriteOnce'],
  driver: 'disks.csi.example.org',
  attachRequired: true,
};

const withoutFences = (observed: Observed): Observed => ({
  ...observed,
  volumeFences: Object.fromEntries(Object.keys(observed.volumeFences).map((name) => [name, exclusive])),
});

const withMetadata = <T extends KubernetesObject>(object: T, change: Partial<T['metadata']>): T => ({
  ...object,
  metadata: { ...object.metadata, ...change },
});

const claimsChanged = (observed: Observed, change: (claim: Claim) => Claim | 'absent'): Observed => ({
  ...observed,
  claims: Object.fromEntries(
    Object.entries(observed.claims).map(([name, claim]) => [
      name,
      typeof claim === 'object' ? change(claim) : claim,
    ]),
  ),
});

const nodesChanged = (observed: Observed, change: (node: Node) => Node): Observed => ({
  ...observed,
  nodes: Object.fromEntries(Object.entries(observed.nodes).map(([name, node]) => [name, change(node)])),
});

const withAnnotations = <T extends KubernetesObject>(
  object: T,
  change: Readonly<Record<string, string | undefined>>,
): T => {
  const kept = Object.entries({ ...object.metadata.annotations, ...change }).filter(
    (entry): entry is [string, string] => entry[1] !== undefined,
  );
  return withMetadata(object, { annotations: Object.fromEntries(kept) } as Partial<T['metadata']>);
};

const isAttached = ({ claims, volumeAttachments }: Observed, lease: string): boolean => {
  const claim = claims[`${lease}.data`];
  const volume = typeof claim === 'object' ? claim.spec?.volumeName : undefined;
  return volumeAttachments.some(({ spec }) => spec?.source?.persistentVolumeName === volume);
};

/** Nothing says whose machine had the disks, once they are attached nowhere. */
const withoutDisksNode = (observed: Observed): Observed => ({
  ...observed,
  leases: observed.leases.map((lease) =>
    isAttached(observed, lease.metadata.name ?? '')
      ? lease
      : withAnnotations(lease, { 'filerpair.dev/disks-node': undefined }),
  ),
});

/** Caches that show operations as they were made, forever. */
export const withoutEnds = (observed: Observed): Observed => ({
  ...observed,
  filerPairOperations: observed.filerPairOperations.map(({ status: _, ...one }) => one),
});

const readiness = (node: Node) => node.status?.conditions?.find(({ type }) => type === 'Ready');

const annotationsIn = (action: Action): Readonly<Record<string, unknown>> =>
  action.kind === 'patch'
    ? ((action.patch as { metadata?: { annotations?: Record<string, unknown> } }).metadata?.annotations ?? {})
    : {};

const unnames = (action: Action): boolean => annotationsIn(action)['filerpair.dev/disks'] === null;

const mountedTwice = /is mounted in the kernels of/;

export const operatorVariants: readonly OperatorVariant[] = [
  {
    name: 'DriverThatAttachesNothingTaken',
    clause: 'a pair whose driver attaches nothing is not refused',
    caughtAs: mountedTwice,
    seedsMax: 200,
    fence: 'none',
    hears: withoutFences,
  },
  {
    name: 'VolumeModesNotRead',
    clause: 'a volume that two nodes may have is not refused, and nothing is asked past the caches',
    caughtAs: mountedTwice,
    seedsMax: 400,
    fence: 'multi',
    hears: withoutFences,
    wants: (actions) => actions.filter(({ kind }) => kind !== 'confirmDetached'),
  },
  {
    name: 'ClaimDeletionIgnored',
    clause: 'a claim that somebody has deleted is moved like any other',
    caughtAs: /takes the last pod from/,
    seedsMax: 400,
    hears: (observed) =>
      claimsChanged(observed, ({ metadata: { deletionTimestamp: _, ...metadata }, ...claim }) => ({
        ...claim,
        metadata,
      })),
    wants: (actions) => actions.filter(({ kind }) => kind !== 'confirmKept'),
  },
  {
    name: 'OldMountStaysNamed',
    // With the second alone the disk is elsewhere only when somebody has said that the node is off; that is rarer still.
    clause: 'the old mount stays named until the new pod is there, and nothing says which node had the disks',
    caughtAs: /takes the mount/,
    from: 1000,
    seedsMax: 300,
    hurries: () => KUBELETS_LAST,
    hears: withoutDisksNode,
    wants: (actions, { leases }) =>
      actions.map((action) => {
        if (!unnames(action) || action.kind !== 'patch') return action;
        const { kind: _, patch: _patch, ...rest } = action;
        const lease = leases.find(({ metadata }) => metadata.name === action.name);
        const holder = lease?.spec?.holderIdentity || null;
        return {
          ...rest,
          kind: 'confirm',
          namespace: 'storage',
          holder,
          epoch: lease?.spec?.leaseTransitions ?? 0,
        };
      }),
  },
  {
    name: 'DetachedByForceTakenAsDetached',
    clause:
      'that an attachment is gone counts as proof, also when Kubernetes has ended it because the node was silent',
    caughtAs: /is only silent/,
    seedsMax: 400,
    hears: withoutDisksNode,
  },
  {
    name: 'ReadyTakenAsReleased',
    clause:
      'a node that is back has let go of what was taken from it by force, whatever its kubelet still has mounted',
    caughtAs: /is back|is only silent/,
    from: 400,
    seedsMax: 1000,
    hurries: () => KUBELETS_LAST,
    hears: (observed) => ({
      ...observed,
      nodes: Object.fromEntries(
        Object.entries(observed.nodes).map(([name, { status, ...node }]) => {
          const { volumesInUse: _, ...rest } = status ?? {};
          return [name, { ...node, status: rest }];
        }),
      ),
    }),
    wants: (actions) => actions.filter(({ kind }) => kind !== 'confirmReleased'),
  },
  {
    name: 'DisksNamedWithoutCompareAndSwap',
    clause: 'whose mounts are the disks is written whatever the Lease says by now',
    caughtAs: /takes the mount|deletes the pod under the owner|has no disks/,
    seedsMax: 4000,
    wants: (actions) =>
      actions.map((action) => {
        if (action.kind !== 'patch' || !('filerpair.dev/disks' in annotationsIn(action))) return action;
        const patch = { metadata: { annotations: annotationsIn(action) as Record<string, string | null> } };
        return { ...action, patch };
      }),
  },
  {
    name: 'LeaseNotConfirmed',
    clause: 'a pod of the disks is told to go without a read of the Lease itself',
    caughtAs: /deletes the pod under the owner/,
    seedsMax: 400,
    wants: (actions) => actions.filter(({ kind }) => kind !== 'confirm'),
  },
  {
    name: 'NodeNamesCompared',
    clause: 'another machine under the name of a node is taken for the first one',
    caughtAs: /was made for another machine/,
    seedsMax: 2000,
    hears: (observed) =>
      nodesChanged(observed, (node) => withMetadata(node, { uid: `uid-${node.metadata.name}` })),
  },
  {
    name: 'NotReadyTakenAsSilent',
    clause: 'a kubelet that says itself that it is not well counts as silent',
    caughtAs: /is marked, and its kubelet reports/,
    seedsMax: 2000,
    hears: (observed) =>
      nodesChanged(observed, (node) =>
        readiness(node)?.status === 'False'
          ? { ...node, status: { ...node.status, conditions: [{ type: 'Ready', status: 'Unknown' }] } }
          : node,
      ),
  },
  {
    name: 'SilenceByAnotherClock',
    clause:
      'the operator judges silence by a time that another machine has written, and clocks differ by a minute',
    caughtAs: /is marked after a silence of/,
    seedsMax: 2000,
    hears: (observed) => ({
      ...observed,
      readinessSince: Object.fromEntries(
        Object.entries(observed.nodes).map(([name, node]) => [
          name,
          Date.parse(readiness(node)?.lastTransitionTime ?? '') - 60_000,
        ]),
      ),
    }),
  },
  {
    name: 'RefutedWordKept',
    clause: 'a word that a node is off, which the node itself has refuted, is kept',
    caughtAs: /is marked after a confirmation that it has refuted/,
    from: 1_300,
    seedsMax: 1500,
    wants: (actions) =>
      actions.filter(
        (action) => annotationsIn(action)['filerpair.dev/powered-off'] !== null || isUnmark(action),
      ),
  },
  {
    name: 'MarksNotTakenOff',
    clause: 'a mark stays when the node is back',
    caughtAs: /is still marked/,
    seedsMax: 2000,
    wants: (actions) => actions.filter((action) => !isUnmark(action)),
  },
  {
    name: 'MarksTakenOffForAPairOnly',
    clause: 'nobody takes the mark off a node whose pair is gone',
    caughtAs: /is still marked/,
    seedsMax: 2000,
    pairGoes: true,
    wants: (actions, { pair }) => (pair === null ? [] : actions),
  },
  {
    name: 'UnseenNodeTakenAsGone',
    clause: 'a node that the cache lacks is gone, and nobody asks for it',
    caughtAs: /of a node that is there/,
    seedsMax: 400,
    whole: true,
    asksForNodes: false,
    wants: (actions) => actions.filter(({ kind }) => kind !== 'confirmNodeGone'),
  },
  {
    name: 'OperationNotReadAgain',
    clause:
      'an operation that the cache shows as it was before its end is passed on without being read again',
    caughtAs: /acts again/,
    seedsMax: 50,
    whole: true,
    wishes: true,
    hears: withoutEnds,
    wants: (actions) => actions.filter(({ kind }) => kind !== 'confirmUnended'),
  },
  {
    name: 'OperationsForgotten',
    clause: 'the record of a disk set does not remember operations that were carried out',
    caughtAs: /was carried out, and acts again/,
    seedsMax: 50,
    whole: true,
    wishes: true,
    hears: (observed) => ({
      ...observed,
      filerDiskSets: observed.filerDiskSets.map(({ spec: { operations: _, ...spec }, ...one }) => ({
        ...one,
        spec,
      })),
    }),
  },
  {
    name: 'ForceDropped',
    clause: 'an administrator’s force is lost on the way to the servers',
    caughtAs: /force is dropped/,
    seedsMax: 50,
    whole: true,
    wishes: true,
    hears: (observed) => ({
      ...observed,
      filerPairOperations: observed.filerPairOperations.map((one) => ({
        ...one,
        spec: {
          ...one.spec,
          ...(one.spec.takeover && { takeover: { ...one.spec.takeover, force: undefined } }),
          ...(one.spec.giveback && { giveback: { ...one.spec.giveback, force: undefined } }),
        },
      })),
    }),
  },
  {
    name: 'DoneNotCheckedAgainstHolder',
    clause:
      'an operation is Complete by the server’s answer, even if the other server owns the disk set by now',
    caughtAs: /is Complete, but/,
    seedsMax: 50,
    whole: true,
    wishes: true,
    wants: (actions) => actions.map(completeByAnswer),
  },
  {
    name: 'PodsFoundByLabelAlone',
    clause: 'an attachment pod that has lost its labels is not found',
    caughtAs: /has no disks/,
    seedsMax: 400,
    hears: (observed) => ({
      ...observed,
      pods: observed.pods.filter(({ metadata }) => metadata.labels?.['filerpair.dev/pair'] !== undefined),
    }),
  },
  {
    name: 'UnknownClaimTakenAsNone',
    clause: 'a claim that the API did not show has no volume, so nothing is attached',
    caughtAs: /asks for the disks of a claim that is not known/,
    seedsMax: 2000,
    hears: (observed) => ({
      ...observed,
      claims: Object.fromEntries(
        Object.entries(observed.claims).map(([name, claim]) => [
          name,
          claim === 'unknown' ? 'absent' : claim,
        ]),
      ),
    }),
  },
  {
    name: 'ReadyByLastTransition',
    clause: 'Ready is said of an owner that has served once, whatever became of it',
    caughtAs: /Ready is True, but/,
    seedsMax: 100,
    whole: true,
    tells: (status, { leases }) =>
      leases.every(({ metadata }) => metadata.annotations?.['filerpair.dev/last-transition'] !== undefined)
        ? {
            ...status,
            conditions: (status.conditions ?? []).map((one) =>
              one.type === 'Ready' ? { ...one, status: 'True' } : one,
            ),
          }
        : status,
  },
  {
    name: 'FirstRefusalEndsThePlan',
    clause: 'one object that the API server refuses keeps everything after it from being done',
    caughtAs: /has no disks|does not run/,
    seedsMax: 100,
    whole: true,
    stopsAtRefusal: true,
  },
];

function completeByAnswer(action: Action): Action {
  if (action.kind !== 'applyStatus' || action.resource !== 'filerPairOperations') return action;
  const { status } = action.object as FilerPairOperationObject;
  const conditions = status?.conditions?.map((one) =>
    one.message.startsWith('It was done')
      ? { ...one, status: one.type === 'Complete' ? ('True' as const) : ('False' as const) }
      : one,
  );
  return { ...action, object: { ...action.object, status: { ...status, conditions } } as KubernetesObject };
}

function isUnmark(action: Action): boolean {
  return action.resource === 'nodes' && annotationsIn(action)['filerpair.dev/out-of-service'] === null;
}

/** Throws RangeError for a name that there is not. */
export function operatorVariantNamed(name: string): OperatorVariant {
  const found = operatorVariants.find((variant) => variant.name === name);
  if (found !== undefined) return found;
  throw new RangeError(
    `no variant "${name}"; there are ${operatorVariants.map((one) => one.name).join(', ')}`,
  );
}
