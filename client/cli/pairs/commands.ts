/**
 * kubectl filerpair: what an administrator does with the pairs of a cluster. Requests are annotations on the FilerPair, so that
 * the operator checks them, the servers answer, and the answer stays in the status.
 */
import { open } from 'node:fs/promises';
import { requestAnnotations, snapshotAnnotations } from '../../../kubernetes/labels-and-annotations.ts';
import type { KubernetesObject, MergePatch } from '../../../kubernetes/objects.ts';
import { Reflector } from '../../../kubernetes/reflector.ts';
import { resources } from '../../../kubernetes/resource.ts';
import { type Command, CommandError, type Flags, type Surroundings, UsageError } from '../command.ts';
import { table } from '../listing.ts';
import {
  CLUSTER_DETAILS,
  CLUSTER_FLAGS,
  type Cluster,
  inCluster,
  type PairObject,
  pairMeant,
  pairOfServer,
} from './cluster.ts';
import { exportPair } from './export-command.ts';
import { age, pairList, pairTable } from './pair-table.ts';
import { supportBundle } from './support-bundle.ts';
import { tarGz } from './tar.ts';

const status: Command = {
  name: 'status',
  form: 'status [PAIR] [--watch] [-A]',
  summary: 'show whether clients are served, and what would happen next',
  details: [
    '-w, --watch            show it again whenever it changes',
    '-A                     a line for each pair of the cluster',
    ...CLUSTER_DETAILS,
  ],
  flags: { ...CLUSTER_FLAGS, watch: { type: 'boolean', short: 'w' } },
  count: [0, 1],
  run: ([name], flags, _common, world) =>
    inCluster(flags, async (cluster) => {
      if (flags['all-namespaces'] === true) {
        const { items } = await cluster.client.list<PairObject>(resources.filerPairs);
        world.stdout.write(pairList(items, Date.now()));
        return;
      }
      const pair = await pairMeant(cluster, name);
      if (flags['watch'] === true) await watchPair(cluster, pair, world);
      else world.stdout.write(pairTable(pair, Date.now()));
    }),
};

/** Until interrupted, or until the pair is gone. */
async function watchPair(cluster: Cluster, pair: PairObject, world: Surroundings): Promise<void> {
  const { name = '', namespace } = pair.metadata;
  const gone = Promise.withResolvers<void>();
  let latest: PairObject | undefined;
  const draw = (): void => {
    // A terminal shows one picture that is kept up; a file or a pipe gets one after the other.
    if (latest !== undefined) world.stdout.picture(pairTable(latest, Date.now()));
  };
  const reflector = new Reflector<PairObject>({
    client: cluster.client,
    resource: resources.filerPairs,
    namespace,
    fieldSelector: `metadata.name=${name}`,
    onChange: (change) => {
      if (change.kind === 'deleted') return gone.resolve();
      latest = change.object;
      draw();
    },
    // During an outage the API may be away too; what was known last stays on the screen.
    onError: (error, retryInMs) =>
      world.stderr.line(`${error.message}; trying again in ${Math.round(retryInMs / 100) / 10} s`),
  });
  const ages = world.stdout.interactive ? setInterval(draw, 1000) : undefined;
  world.stop.addEventListener('abort', () => gone.resolve(), { once: true });
  reflector.start();
  await gone.promise;
  clearInterval(ages);
  await reflector.stop();
}

const FORCE = [
  '--force                a word instead of a proof: that the other server is dead; needs --reason',
  '--override VETO,...    go on in spite of these reasons against it, as an earlier refusal has named them',
];

const move = (kind: 'takeover' | 'giveback', summary: string, details: readonly string[]): Command => ({
  name: kind,
  form: `${kind} SERVER [--reason TEXT] [--force] [--override VETO,...] [--no-wait]`,
  summary,
  details: [
    ...details,
    '--reason TEXT          why, for the record',
    ...FORCE,
    '--no-wait              do not wait for the answer',
    ...CLUSTER_DETAILS,
  ],
  flags: {
    ...CLUSTER_FLAGS,
    reason: { type: 'string' },
    force: { type: 'boolean' },
    override: { type: 'string' },
    'no-wait': { type: 'boolean' },
  },
  count: [1, 1],
  run: ([server = ''], flags, common, world) =>
    inCluster(flags, async (cluster) => {
      const { reason, override } = flags;
      if (flags['force'] === true && typeof reason !== 'string')
        throw new UsageError(
          '--force needs --reason: it is recorded who said that the other server is dead, and why',
        );
      const pair = await pairOfServer(cluster, server);
      const asked = {
        ...(flags['force'] === true ? { [requestAnnotations.force]: 'true' } : {}),
        ...(typeof override === 'string' ? { [requestAnnotations.override]: override } : {}),
        [requestAnnotations[kind]]: server,
        [requestAnnotations.reason]: typeof reason === 'string' ? reason : `kubectl filerpair ${kind}`,
      };
      // The answer that is there now is that of an earlier request.
      const before = JSON.stringify(pair.status?.lastRequest);
      await patchPair(cluster, pair.metadata, { metadata: { annotations: asked } });
      if (flags['no-wait'] === true) return;
      const answer = await answered(cluster, pair, {
        annotation: requestAnnotations[kind],
        of: (now) => now.lastRequest,
        before,
        timeoutMs: common.timeoutMs ?? 60_000,
      });
      if (answer.result !== 'Done') throw new CommandError(`${kind} of ${server} refused: ${answer.message}`);
      world.stdout.line(`${kind} of ${server} done: ${answer.message}`);
    }),
});

async function patchPair(
  cluster: Cluster,
  { namespace, name = '' }: PairObject['metadata'],
  patch: MergePatch,
): Promise<void> {
  await cluster.client.mergePatch(resources.filerPairs, { namespace, name }, patch);
}

type Status = NonNullable<PairObject['status']>;

interface Awaited<Answer> {
  readonly annotation: string;
  readonly of: (status: Status) => Answer | undefined;
  /** The answer that was there already, as JSON: that of an earlier question. */
  readonly before: string | undefined;
  readonly timeoutMs: number;
}

/** The recorded answer: there when the annotation is gone and the status tells of another one than before. */
async function answered<Answer extends { readonly result: string }>(
  cluster: Cluster,
  pair: PairObject,
  { annotation, of, before, timeoutMs }: Awaited<Answer>,
): Promise<Answer> {
  const { promise, resolve, reject } = Promise.withResolvers<Answer>();
  const { name, namespace } = pair.metadata;
  const reflector = new Reflector<PairObject>({
    client: cluster.client,
    resource: resources.filerPairs,
    namespace,
    fieldSelector: `metadata.name=${name}`,
    onChange: (change) => {
      if (change.kind === 'deleted') return reject(new CommandError(`FilerPair ${name} is gone`));
      const { metadata, status: now } = change.object;
      const answer = now && of(now);
      if (metadata.annotations?.[annotation] !== undefined || answer === undefined) return;
      if (answer.result !== 'Pending' && JSON.stringify(answer) !== before) resolve(answer);
    },
  });
  const timer = setTimeout(
    () =>
      reject(
        new CommandError(
          `no answer within ${timeoutMs / 1000} s: does the operator run? The request stands; kubectl filerpair status shows what becomes of it`,
        ),
      ),
    timeoutMs,
  );
  reflector.start();
  try {
    return await promise;
  } finally {
    clearTimeout(timer);
    await reflector.stop();
  }
}

const check: Command = {
  name: 'check',
  form: 'check [PAIR]',
  summary: 'would a takeover work now? exit code 1 if not',
  details: CLUSTER_DETAILS,
  flags: CLUSTER_FLAGS,
  count: [0, 1],
  run: ([name], flags, _common, world) =>
    inCluster(flags, async (cluster) => {
      const { status: now } = await pairMeant(cluster, name);
      const found = now?.conditions?.find(({ type }) => type === 'TakeoverPossible');
      if (found?.status !== 'True')
        throw new CommandError(
          `the next failure is not covered: ${found?.message ?? 'nothing is known yet'}`,
        );
      world.stdout.line(`${found.message}`);
    }),
};

const snapshot: Command = {
  name: 'snapshot',
  form: 'snapshot NAME [PAIR] [--class NAME]',
  summary: 'VolumeSnapshots of all volumes of both disk sets at one point in time',
  details: [
    'Clients wait for a moment, 10 s at most; nothing is stopped.',
    '--class NAME           VolumeSnapshotClass (default: the default one of the volumes’ driver)',
    ...CLUSTER_DETAILS,
  ],
  flags: { ...CLUSTER_FLAGS, class: { type: 'string' } },
  count: [1, 2],
  run: ([name = '', which], flags, common, world) =>
    inCluster(flags, async (cluster) => {
      const pair = await pairMeant(cluster, which);
      const { class: className } = flags;
      const annotations = {
        [snapshotAnnotations.snapshot]: name,
        ...(typeof className === 'string' ? { [snapshotAnnotations.snapshotClass]: className } : {}),
      };
      const before = JSON.stringify(pair.status?.lastSnapshot);
      await patchPair(cluster, pair.metadata, { metadata: { annotations } });
      const answer = await answered(cluster, pair, {
        annotation: snapshotAnnotations.snapshot,
        of: (now) => now.lastSnapshot,
        before,
        timeoutMs: common.timeoutMs ?? 60_000,
      });
      if (answer.result !== 'Done') throw new CommandError(answer.message);
      world.stdout.line(`${answer.message}`);
    }),
};

const maintenance: Command = {
  name: 'maintenance',
  form: 'maintenance on|off [PAIR] [--reason TEXT]',
  summary: 'while it is on, nothing moves by itself: no takeover, no giveback',
  details: [
    'Clients wait while a server is down, until an administrator asks for a takeover.',
    ...CLUSTER_DETAILS,
  ],
  flags: { ...CLUSTER_FLAGS, reason: { type: 'string' } },
  count: [1, 2],
  run: ([what, which], flags, _common, world) => {
    if (what !== 'on' && what !== 'off') throw new UsageError(`maintenance is on or off, not ${what}`);
    return inCluster(flags, async (cluster) => {
      const { metadata } = await pairMeant(cluster, which);
      const { reason } = flags;
      const why = typeof reason === 'string' ? reason : 'kubectl filerpair maintenance';
      const annotations = { [requestAnnotations.maintenance]: what === 'on' ? why : null };
      await patchPair(cluster, metadata, { metadata: { annotations } });
      world.stdout.line(`maintenance of ${metadata.name} is ${what}`);
    });
  },
};

const pausing = (name: 'pause' | 'resume', paused: boolean, summary: string): Command => ({
  name,
  form: `${name} [PAIR]`,
  summary,
  details: CLUSTER_DETAILS,
  flags: CLUSTER_FLAGS,
  count: [0, 1],
  run: ([which], flags, _common, world) =>
    inCluster(flags, async (cluster) => {
      const { metadata } = await pairMeant(cluster, which);
      await patchPair(cluster, metadata, { spec: { rollout: { paused } } });
      world.stdout.line(`rollout of ${metadata.name} ${paused ? 'paused' : 'goes on'}`);
    }),
});

interface EventObject extends KubernetesObject {
  readonly eventTime?: string;
  readonly type?: string;
  readonly reason?: string;
  readonly note?: string;
  readonly regarding?: { readonly kind?: string; readonly name?: string };
}

const events: Command = {
  name: 'events',
  form: 'events [PAIR]',
  summary: 'what the operator told about the pair, the oldest first',
  details: CLUSTER_DETAILS,
  flags: CLUSTER_FLAGS,
  count: [0, 1],
  run: ([which], flags, _common, world) =>
    inCluster(flags, async (cluster) => {
      const { metadata } = await pairMeant(cluster, which);
      const { items } = await cluster.client.list<EventObject>(resources.events, {
        namespace: cluster.namespace,
      });
      const at = (event: EventObject) => event.eventTime ?? event.metadata.creationTimestamp ?? '';
      const rows = items
        .filter(({ regarding }) => regarding?.kind === 'FilerPair' && regarding.name === metadata.name)
        .toSorted((a, b) => Date.parse(at(a)) - Date.parse(at(b)))
        .map((event) => [
          `${age(at(event), Date.now())} ago`,
          event.type ?? '',
          event.reason ?? '',
          event.note ?? '',
        ]);
      world.stdout.write(
        rows.length === 0 ? 'no events (the cluster keeps them for an hour)\n' : table(rows),
      );
    }),
};

const bundle: Command = {
  name: 'support-bundle',
  form: 'support-bundle [PAIR] [--output FILE]',
  summary: 'objects, events and logs of a pair in one archive, without Secrets',
  details: ['-o, --output FILE      default: filerpair-NAMESPACE-PAIR.tar.gz', ...CLUSTER_DETAILS],
  flags: { ...CLUSTER_FLAGS, output: { type: 'string', short: 'o' } },
  count: [0, 1],
  run: ([which], flags, _common, world) =>
    inCluster(flags, async (cluster) => {
      const pair = await pairMeant(cluster, which);
      const file = outputOf(flags) ?? `filerpair-${cluster.namespace}-${pair.metadata.name}.tar.gz`;
      const files = await supportBundle(cluster, pair, Date.now());
      await writeForOwner(file, await tarGz(files, Date.now()));
      world.stdout.line(`${file}: ${files.length} files`);
    }),
};

/** Readable by its owner only, also if the file existed before with other rights. */
export async function writeForOwner(path: string, content: Uint8Array): Promise<void> {
  const file = await open(path, 'w', 0o600);
  try {
    await file.chmod(0o600);
    await file.writeFile(content);
  } finally {
    await file.close();
  }
}

function outputOf(flags: Flags): string | undefined {
  const { output } = flags;
  if (output === '') throw new UsageError('--output needs a file name');
  return typeof output === 'string' ? output : undefined;
}

/** In the order in which the help lists them. */
export const PAIR_COMMANDS: readonly Command[] = [
  status,
  check,
  move('takeover', 'have the disk set of a server served by its partner', [
    'The server finishes what runs, its partner takes over, clients follow; for maintenance.',
  ]),
  move('giveback', 'give the disk set of a server back to it', ['Asked when the server runs again.']),
  snapshot,
  maintenance,
  pausing('pause', true, 'leave running servers as they are when the spec changes'),
  pausing('resume', false, 'go on with a rollout'),
  events,
  bundle,
  exportPair,
];
