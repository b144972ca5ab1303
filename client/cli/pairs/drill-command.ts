/** kubectl filerpair drill: a takeover and a giveback of a pair in use, with a probe beside its clients, drawn as a timeline. */
import { writeFile } from 'node:fs/promises';
import { setTimeout as delay } from 'node:timers/promises';
import { resources } from '../../../kubernetes/resource.ts';
import {
  type Command,
  CommandError,
  type CommonOptions,
  type Flags,
  NotInTime,
  type Surroundings,
} from '../command.ts';
import { numberOf } from '../common-options.ts';
import { type DrillPlan, type DrillSubject, drillPlan, PROBE_UID, type ServerPod } from '../drill/plan.ts';
import { ProbeJob } from '../drill/probe-job.ts';
import { type DrillScenes, drillScenes, drillText, endOf, type Transition } from '../drill/scenes.ts';
import { show } from '../output.ts';
import { timelinePicture } from '../timeline/picture.ts';
import {
  type Cluster,
  coverOf,
  type DiskSetObject,
  inCluster,
  ofPair,
  PAIR,
  type PairObject,
  pairMeant,
  partnerOf,
  type ServerMeant,
  type ShareObject,
  serverMeant,
  whenObject,
} from './cluster.ts';
import { createOperation, given, operationEnd, recordOf } from './operation.ts';

/** For each step: disks that move from node to node take minutes on some clouds. */
const STEP_MS_MAX = 300_000;
/** The first reply after a move is written to the record a moment later. */
const TOLD_MS_MAX = 10_000;
/** So that the probe is in the middle of its work at each move. */
const WORK_MS = 1000;

/** How far it has got: what has to be cleaned up depends on it. */
type Progress =
  | { readonly step: 'Before' | 'Away' | 'Home' }
  | { readonly step: 'TakingOver' | 'GivingBack'; readonly operation: string };

export const drill: Command = {
  name: 'drill',
  summary: 'rehearse a failure on a pair in use: takeover, giveback, and what a client sees of them',
  group: 'Operations',
  target: 'cluster',
  operands: [PAIR],
  details: [
    'Refused where check would be, where the server is drained, or where it does not serve its own disk set. A Job runs the',
    'probe: the client of the image of the servers, as an ordinary user, on a share whose clients include the addresses of pods.',
    'It only reads attributes unless --write is given. Clients of the server wait twice, as long as the timeline says. An',
    'interrupted drill removes the Job and asks for the giveback. It needs the rights to create and delete jobs, and to read logs.',
  ],
  options: {
    server: {
      value: 'SERVER',
      help: 'whose disk set moves (default: the first one of the pair)',
      completes: 'server',
    },
    share: { value: 'NAME', help: 'FilerShare that the probe uses (default: the first one that it can)' },
    write: { help: 'the probe writes lines to a file of its own, reads them back and removes the file' },
    uid: { value: 'N', help: `as this user and group (default ${PROBE_UID})` },
    picture: { value: 'FILE', help: 'write the timeline as SVG, too', completes: 'file' },
    reason: { value: 'TEXT', help: 'why, for the record' },
  },
  lists: true,
  dryRun: true,
  cleansUp: true,
  run: ([which], flags, common, world) =>
    inCluster(flags, common, world, async (cluster) => {
      const subject = await subjectOf(cluster, which, flags);
      const plan = drillPlan(subject, {
        share: given(flags, 'share'),
        write: flags['write'] === true,
        uid: numberOf('uid', flags) ?? PROBE_UID,
      });
      const reason = given(flags, 'reason') ?? 'kubectl filerpair drill';
      if (common.dryRun) return world.stdout.line(await tried(cluster, plan, reason));
      await new Drill(cluster, plan, reason, common, world).run(flags);
    }),
};

async function subjectOf(cluster: Cluster, which: string | undefined, flags: Flags): Promise<DrillSubject> {
  const { client, namespace } = cluster;
  const pair = await pairMeant(cluster, which);
  coverOf(pair);
  const server = given(flags, 'server');
  const meant: ServerMeant =
    server === undefined
      ? { pair, server: pair.spec.servers[0]!.name }
      : await serverMeant(cluster, server, pair.metadata.name);
  const [shares, record] = await Promise.all([
    ofPair<ShareObject>(cluster, resources.filerShares, pair),
    recordOf(cluster, meant),
  ]);
  const partner = pair.status?.servers?.find(({ name }) => name === partnerOf(meant))?.pod;
  const partnerPod =
    partner === undefined
      ? undefined
      : await client.get<ServerPod>(resources.pods, { namespace, name: partner });
  return { ...meant, shares, record, partnerPod };
}

/** --dry-run: the API server says whether it would take Job and operations. */
async function tried(cluster: Cluster, plan: DrillPlan, reason: string): Promise<string> {
  await cluster.client.create(resources.jobs, plan.job, { dryRun: true });
  for (const type of ['Takeover', 'Giveback'] as const)
    await ask(cluster, plan, type, reason, { dryRun: true });
  return `would start a probe on share ${plan.share}, have ${plan.partner} take over the disk set of ${plan.server}, and have it given back (the API server accepts all three)`;
}

/** @returns name of the FilerPairOperation */
function ask(
  cluster: Cluster,
  { pair, server, epoch }: DrillPlan,
  type: 'Takeover' | 'Giveback',
  reason: string,
  { dryRun }: Pick<CommonOptions, 'dryRun'>,
): Promise<string> {
  const name = type.toLowerCase() as 'takeover' | 'giveback';
  // A takeover is about what was seen; a giveback is wanted whatever has happened since.
  const about = type === 'Takeover' ? { server, ifEpoch: epoch } : { server };
  const spec = { pairRef: { name: pair }, type, [name]: about, reason };
  return createOperation(cluster, { generateName: `${pair}-drill-${name}-` }, spec, { dryRun });
}

class Drill {
  readonly #cluster: Cluster;
  readonly #plan: DrillPlan;
  readonly #reason: string;
  readonly #world: Surroundings;
  readonly #stepMsMax: number;
  #progress: Progress = { step: 'Before' };

  constructor(cluster: Cluster, plan: DrillPlan, reason: string, common: CommonOptions, world: Surroundings) {
    this.#cluster = cluster;
    this.#plan = plan;
    this.#reason = reason;
    this.#world = world;
    this.#stepMsMax = (common.timeoutGiven ? common.timeoutMs : undefined) ?? STEP_MS_MAX;
  }

  async run(flags: Flags): Promise<void> {
    const { scenes, lines } = await this.#withProbe();
    const plan = this.#plan;
    const { takeover, giveback } = scenes;
    show(this.#world.stdout, flags, {
      value: resultOf(plan, scenes, lines),
      table: () => drillText(plan, scenes, lines),
    });
    const picture = given(flags, 'picture');
    if (picture !== undefined)
      await writeFile(
        picture,
        timelinePicture(`A drill of ${plan.pair}: takeover and giveback`, [takeover, giveback]),
      );
    const lost = endOf(lines)?.lines?.lost ?? 0;
    if (lost > 0) throw new CommandError(`${lost} lines that were acknowledged are lost`);
  }

  async #withProbe() {
    const { stop } = this.#world;
    const { share, service } = this.#plan;
    const probe = await ProbeJob.start(this.#cluster, this.#plan.job);
    try {
      this.#say(`a probe uses share ${share} of ${service} (Job ${probe.name})`);
      await probe.until('Started', this.#stepMsMax, stop);
      await this.#work();
      await this.#takeOver();
      await this.#covered();
      await this.#work();
      await this.#giveBack();
      await probe.until('Ended', this.#stepMsMax, stop);
      const { lines } = probe;
      return { scenes: drillScenes(this.#plan, await this.#history(), lines), lines };
    } catch (error) {
      await this.#leave(error);
      throw error;
    } finally {
      await probe.remove();
    }
  }

  async #takeOver(): Promise<void> {
    const operation = await ask(this.#cluster, this.#plan, 'Takeover', this.#reason, { dryRun: false });
    this.#progress = { step: 'TakingOver', operation };
    this.#say(await operationEnd(this.#cluster, operation, this.#stepMsMax, this.#world.stop));
    this.#progress = { step: 'Away' };
  }

  /** Until the way back is as safe as the way there was; or it has been taken already (spec.giveback.mode: Automatic). */
  async #covered(): Promise<void> {
    const { pair, server, partner, epoch } = this.#plan;
    const { status } = await whenObject<PairObject>(this.#cluster, resources.filerPairs, pair, {
      is: ({ status: now }) => {
        const set = now?.diskSets?.find(({ name }) => name === server);
        if (set === undefined || (set.epoch ?? 0) <= epoch) return false;
        const cover = now?.conditions?.find(({ type }) => type === 'TakeoverPossible');
        return set.owner === server || cover?.status === 'True';
      },
      timeoutMs: this.#stepMsMax,
      stop: this.#world.stop,
      late: (latest) => {
        const why = latest?.status?.conditions?.find(({ type }) => type === 'TakeoverPossible')?.message;
        return `${partner} serves the disk set of ${server}, and is not covered after ${this.#stepMsMax / 1000} s: ${why ?? 'nothing is known'}`;
      },
    });
    if (status?.diskSets?.find(({ name }) => name === server)?.owner === server)
      this.#progress = { step: 'Home' };
  }

  async #giveBack(): Promise<void> {
    if (this.#progress.step === 'Home') return;
    const operation = await ask(this.#cluster, this.#plan, 'Giveback', this.#reason, { dryRun: false });
    this.#progress = { step: 'GivingBack', operation };
    this.#say(await operationEnd(this.#cluster, operation, this.#stepMsMax, this.#world.stop));
    this.#progress = { step: 'Home' };
  }

  /** Tells what has to be known or done when the drill ends half way. */
  async #leave(error: unknown): Promise<void> {
    const { pair, server, partner } = this.#plan;
    const { namespace } = this.#cluster;
    const byHand = `kubectl filerpair giveback ${server} ${pair} -n ${namespace}`;
    const progress = this.#progress;
    switch (progress.step) {
      case 'Before':
      case 'Home':
        return;
      case 'TakingOver':
        // The operation has failed, and says why: nothing has moved.
        if (error instanceof CommandError && !(error instanceof NotInTime)) return;
        return this.#say(
          `${partner} may have taken over the disk set of ${server}, or still do (FilerPairOperation ${progress.operation}). See kubectl filerpair status; to give it back: ${byHand}`,
        );
      case 'GivingBack':
        return this.#say(
          `${partner} may still serve the disk set of ${server} (FilerPairOperation ${progress.operation}). See kubectl filerpair status; to ask again: ${byHand}`,
        );
      case 'Away': {
        const asked = await ask(this.#cluster, this.#plan, 'Giveback', this.#reason, { dryRun: false }).catch(
          () => null,
        );
        return this.#say(
          asked === null
            ? `${partner} serves the disk set of ${server}, and the giveback could not be asked for: ${byHand}`
            : `${partner} serves the disk set of ${server}; its giveback is asked for (FilerPairOperation ${asked}). If it fails: ${byHand}`,
        );
      }
    }
  }

  async #history(): Promise<readonly Transition[]> {
    const { pair, server, epoch } = this.#plan;
    const told = (one: DiskSetObject): readonly Transition[] =>
      (one.status?.history ?? []).filter((each) => each.epoch > epoch);
    const name = `${pair}.${server}`;
    const whole = whenObject<DiskSetObject>(this.#cluster, resources.filerDiskSets, name, {
      is: (one) => told(one).length >= 2 && told(one).every(hasFirstReply),
      timeoutMs: TOLD_MS_MAX,
      late: () => 'the record is not whole',
    });
    // The part that it tells by then is drawn.
    const record = await whole.catch(() =>
      this.#cluster.client.get<DiskSetObject>(resources.filerDiskSets, {
        namespace: this.#cluster.namespace,
        name,
      }),
    );
    return told(record);
  }

  async #work(): Promise<void> {
    const { stop } = this.#world;
    await delay(WORK_MS, undefined, { signal: stop }).catch(() => {});
    stop.throwIfAborted();
  }

  #say(line: string): void {
    this.#world.stderr.line(`filerpair: ${line}`);
  }
}

const hasFirstReply = ({ phases }: Transition): boolean => phases.some(({ name }) => name === 'firstReply');

function resultOf(plan: DrillPlan, { takeover, giveback }: DrillScenes, lines: Parameters<typeof endOf>[0]) {
  const { pair, server, partner, share } = plan;
  const ended = endOf(lines);
  return {
    pair,
    server,
    partner,
    share,
    takeover: { pauseMs: takeover.pauseMs, ...takeover.transition },
    giveback: { pauseMs: giveback.pauseMs, ...giveback.transition },
    ...(ended === undefined
      ? {}
      : { replies: ended.replies, longestPauseMs: ended.longestPauseMs, lines: ended.lines }),
  };
}
