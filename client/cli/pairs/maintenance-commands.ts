/** kubectl filerpair drain, undrain, pause, resume, rollout: planned work is what the spec wants, as long as it stands there. */
import { resources } from '../../../kubernetes/resource.ts';
import { type Command, type Flags, UsageError } from '../command.ts';
import {
  CLUSTER_DETAILS,
  CLUSTER_FLAGS,
  inCluster,
  type PairObject,
  pairMeant,
  partnerOf,
  patchPair,
  serverMeant,
  whenObject,
} from './cluster.ts';

const TIMEOUT_MS = 120_000;

type Maintenance = NonNullable<PairObject['spec']['maintenance']>;

const reasonOf = (flags: Flags, before: Maintenance | undefined, command: string): string =>
  (typeof flags['reason'] === 'string' && flags['reason']) ||
  before?.reason ||
  `kubectl filerpair ${command}`;

/** As a merge patch; what has nothing to say any more goes, with its reason. */
const maintenancePatch = (now: Partial<Maintenance>, reason: string): object => {
  const { drain = [], automaticMoves = 'Allowed' } = now;
  const wanted =
    drain.length === 0 && automaticMoves === 'Allowed' ? null : { reason, drain: [...drain], automaticMoves };
  return { spec: { maintenance: wanted } };
};

const ownerOf = ({ status }: PairObject, diskSet: string): string | undefined =>
  status?.diskSets?.find(({ name }) => name === diskSet)?.owner;

export const drain: Command = {
  name: 'drain',
  form: 'drain SERVER [PAIR] [--reason TEXT] [--no-wait]',
  summary: 'take a server out of service: its partner serves until undrain',
  details: [
    'Sets spec.maintenance.drain, and waits until the partner serves. SERVER is the name in the pair, or that of its Service.',
    '--reason TEXT          why; status and events show it',
    '--no-wait              do not wait',
    ...CLUSTER_DETAILS,
  ],
  flags: { ...CLUSTER_FLAGS, reason: { type: 'string' }, 'no-wait': { type: 'boolean' } },
  count: [1, 2],
  run: ([name = '', which], flags, common, world) =>
    inCluster(flags, async (cluster) => {
      const meant = await serverMeant(cluster, name, which);
      const { pair, server } = meant;
      const partner = partnerOf(meant);
      const now = { ...pair.spec.maintenance, drain: [server] };
      await patchPair(cluster, pair.metadata, {
        ...maintenancePatch(now, reasonOf(flags, pair.spec.maintenance, 'drain')),
      });
      if (flags['no-wait'] !== true)
        await whenObject<PairObject>(cluster, resources.filerPairs, pair.metadata.name ?? '', {
          is: (latest) => ownerOf(latest, server) === partner,
          timeoutMs: common.timeoutMs ?? TIMEOUT_MS,
          late: (latest) => {
            const said = latest?.status?.conditions?.find(({ type }) => type === 'Maintenance')?.message;
            return `${partner} does not serve the disk set of ${server} yet; the drain stays in spec.maintenance until undrain${said === undefined ? '' : `: ${said}`}`;
          },
        });
      world.stdout.line(`${server} of ${pair.metadata.name} is drained: ${partner} serves its disk set`);
    }),
};

export const undrain: Command = {
  name: 'undrain',
  form: 'undrain SERVER [PAIR]',
  summary: 'put a server back into service: it gets its disk set back as spec.giveback says',
  details: CLUSTER_DETAILS,
  flags: CLUSTER_FLAGS,
  count: [1, 2],
  run: ([name = '', which], flags, _common, world) =>
    inCluster(flags, async (cluster) => {
      const { pair, server } = await serverMeant(cluster, name, which);
      const { maintenance: before } = pair.spec;
      const left = { ...before, drain: (before?.drain ?? []).filter((one) => one !== server) };
      await patchPair(cluster, pair.metadata, { ...maintenancePatch(left, reasonOf({}, before, 'undrain')) });
      const when =
        pair.spec.giveback.mode === 'Automatic' ? 'by itself' : 'when an operation asks for it (giveback)';
      world.stdout.line(
        `${server} of ${pair.metadata.name} is back in service; its disk set goes back ${when}`,
      );
    }),
};

const pausing = (name: 'pause' | 'resume', summary: string, details: readonly string[]): Command => ({
  name,
  form: name === 'pause' ? 'pause [PAIR] [--reason TEXT]' : 'resume [PAIR]',
  summary,
  details: [...details, ...CLUSTER_DETAILS],
  flags: { ...CLUSTER_FLAGS, ...(name === 'pause' ? { reason: { type: 'string' as const } } : {}) },
  count: [0, 1],
  run: ([which], flags, _common, world) =>
    inCluster(flags, async (cluster) => {
      const { metadata, spec } = await pairMeant(cluster, which);
      const automaticMoves = name === 'pause' ? 'Paused' : 'Allowed';
      const reason = reasonOf(flags, spec.maintenance, name);
      await patchPair(cluster, metadata, {
        ...maintenancePatch({ ...spec.maintenance, automaticMoves }, reason),
      });
      world.stdout.line(`automatic moves of ${metadata.name} are ${automaticMoves.toLowerCase()}`);
    }),
});

export const pause = pausing('pause', 'no disk set moves by itself: no takeover, no giveback', [
  'Clients wait while a server is down, until an operation asks for a takeover. --reason TEXT: why; status shows it',
]);

export const resume = pausing('resume', 'disk sets move by themselves again', []);

export const rollout: Command = {
  name: 'rollout',
  form: 'rollout pause|resume [PAIR]',
  summary: 'leave running servers as they are when the spec changes, or go on',
  details: CLUSTER_DETAILS,
  flags: CLUSTER_FLAGS,
  count: [1, 2],
  run: ([what, which], flags, _common, world) => {
    if (what !== 'pause' && what !== 'resume') throw new UsageError(`rollout pause or resume, not ${what}`);
    return inCluster(flags, async (cluster) => {
      const { metadata } = await pairMeant(cluster, which);
      await patchPair(cluster, metadata, { spec: { rollout: { paused: what === 'pause' } } });
      world.stdout.line(`rollout of ${metadata.name} ${what === 'pause' ? 'is paused' : 'goes on'}`);
    });
  },
};
