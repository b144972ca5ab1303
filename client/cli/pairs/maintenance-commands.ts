/** kubectl filerpair drain, undrain, pause, resume, rollout: planned work is what the spec wants, as long as it stands there. */
import type { MergePatch } from '../../../kubernetes/objects.ts';
import { resources } from '../../../kubernetes/resource.ts';
import type { Command, Flags, Option } from '../command.ts';
import {
  inCluster,
  PAIR,
  type PairObject,
  pairMeant,
  partnerOf,
  patchPair,
  SERVER,
  serverMeant,
  whenObject,
  wouldPatch,
} from './cluster.ts';

const TIMEOUT_MS = 120_000;

const REASON: Option = { value: 'TEXT', help: 'why; status and events show it' };

type Maintenance = NonNullable<PairObject['spec']['maintenance']>;

const reasonOf = (flags: Flags, before: Maintenance | undefined, command: string): string =>
  (typeof flags['reason'] === 'string' && flags['reason']) ||
  before?.reason ||
  `kubectl filerpair ${command}`;

/** As a merge patch; what has nothing to say any more goes, with its reason. */
const maintenancePatch = (now: Partial<Maintenance>, reason: string): MergePatch => {
  const { drain = [], automaticMoves = 'Allowed' } = now;
  const wanted =
    drain.length === 0 && automaticMoves === 'Allowed' ? null : { reason, drain: [...drain], automaticMoves };
  return { spec: { maintenance: wanted } };
};

const ownerOf = ({ status }: PairObject, diskSet: string): string | undefined =>
  status?.diskSets?.find(({ name }) => name === diskSet)?.owner;

export const drain: Command = {
  name: 'drain',
  summary: 'take a server out of service: its partner serves until undrain',
  group: 'Planned work',
  target: 'cluster',
  operands: [SERVER, PAIR],
  details: ['Sets spec.maintenance.drain, and waits until the partner serves.'],
  options: { reason: REASON, 'no-wait': { help: 'do not wait until the partner serves' } },
  dryRun: true,
  run: ([name = '', which], flags, common, world) =>
    inCluster(flags, common, world, async (cluster) => {
      const meant = await serverMeant(cluster, name, which);
      const { pair, server } = meant;
      const partner = partnerOf(meant);
      const now = { ...pair.spec.maintenance, drain: [server] };
      const patch = maintenancePatch(now, reasonOf(flags, pair.spec.maintenance, 'drain'));
      await patchPair(cluster, pair.metadata, patch, common);
      if (common.dryRun) return world.stdout.line(wouldPatch(pair.metadata, patch));
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
  summary: 'put a server back into service: it gets its disk set back as spec.giveback says',
  group: 'Planned work',
  target: 'cluster',
  operands: [SERVER, PAIR],
  dryRun: true,
  run: ([name = '', which], flags, common, world) =>
    inCluster(flags, common, world, async (cluster) => {
      const { pair, server } = await serverMeant(cluster, name, which);
      const { maintenance: before } = pair.spec;
      const left = { ...before, drain: (before?.drain ?? []).filter((one) => one !== server) };
      const patch = maintenancePatch(left, reasonOf({}, before, 'undrain'));
      await patchPair(cluster, pair.metadata, patch, common);
      if (common.dryRun) return world.stdout.line(wouldPatch(pair.metadata, patch));
      const when =
        pair.spec.giveback.mode === 'Automatic' ? 'by itself' : 'when an operation asks for it (giveback)';
      world.stdout.line(
        `${server} of ${pair.metadata.name} is back in service; its disk set goes back ${when}`,
      );
    }),
};

const pausing = (name: 'pause' | 'resume', summary: string, details: readonly string[]): Command => ({
  name,
  summary,
  group: 'Planned work',
  target: 'cluster',
  operands: [PAIR],
  details,
  options: name === 'pause' ? { reason: REASON } : {},
  dryRun: true,
  run: ([which], flags, common, world) =>
    inCluster(flags, common, world, async (cluster) => {
      const { metadata, spec } = await pairMeant(cluster, which);
      const automaticMoves = name === 'pause' ? 'Paused' : 'Allowed';
      const reason = reasonOf(flags, spec.maintenance, name);
      const patch = maintenancePatch({ ...spec.maintenance, automaticMoves }, reason);
      await patchPair(cluster, metadata, patch, common);
      if (common.dryRun) return world.stdout.line(wouldPatch(metadata, patch));
      world.stdout.line(`automatic moves of ${metadata.name} are ${automaticMoves.toLowerCase()}`);
    }),
});

export const pause = pausing('pause', 'no disk set moves by itself: no takeover, no giveback', [
  'Clients wait while a server is down, until an operation asks for a takeover.',
]);

export const resume = pausing('resume', 'disk sets move by themselves again', []);

export const rollout: Command = {
  name: 'rollout',
  summary: 'leave running servers as they are when the spec changes, or go on',
  group: 'Planned work',
  target: 'cluster',
  operands: [{ name: 'pause|resume', choices: ['pause', 'resume'] }, PAIR],
  dryRun: true,
  run: ([what, which], flags, common, world) => {
    return inCluster(flags, common, world, async (cluster) => {
      const { metadata } = await pairMeant(cluster, which);
      const patch = { spec: { rollout: { paused: what === 'pause' } } };
      await patchPair(cluster, metadata, patch, common);
      if (common.dryRun) return world.stdout.line(wouldPatch(metadata, patch));
      world.stdout.line(`rollout of ${metadata.name} ${what === 'pause' ? 'is paused' : 'goes on'}`);
    });
  },
};
