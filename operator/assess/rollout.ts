/**
 * How a change of the spec reaches servers that run: one server after the other, each through a planned takeover and a
 * giveback, so that clients see planned gaps and nothing else.
 */

import type { RequestAnnotation } from '../../kubernetes/labels-and-annotations.ts';
import { imagesOfPod, serverPod, wantedImage } from '../desired/pod.ts';
import { renderingOf } from '../desired/rendering.ts';
import { RENDERING_ANNOTATION, TEMPLATE_ANNOTATION } from '../model/names.ts';
import type { PodFinding } from '../model/pod-state.ts';
import { partnerOf, type ServerView } from '../model/view.ts';
import { type Assessment, question } from './assessment.ts';
import { claimBeingDeleted } from './claim-being-deleted.ts';
import { misfit } from './claims-fit.ts';
import { diskSetPhase } from './disk-set-phase.ts';
import { isDrained } from './drain.ts';
import { imageTrial } from './image-trial.ts';
import { moveText, pendingMove } from './operations/moves.ts';
import { ownsSomething } from './pod-replacement.ts';
import { takeoverPossible } from './takeover-possible.ts';
import { unsafeChange } from './unsafe-change.ts';

//   a outdated ──> takeover of its disk set ──> its pod is replaced ──> giveback ──> the same with b
//         (only while a takeover is possible)        (it owns nothing)      (only while it could be taken over again)
//
// A new image is started once, beside the servers, before a server is replaced for it. A new image comes to the pairs in a wave,
// and so does whatever else an upgrade of the operator or a change of its settings changes in pods. One pair is first. When that
// pair runs it, some get it at a time; while one does not come back, no further pair does.
//
// Nothing is remembered between two steps. Pods carry the fingerprint of what they were made from, and Leases say who owns what.
// The answer to the rollout's own request, which stays on the Lease, says that a disk set is away because of it. So it may be
// interrupted anywhere: by an operator that dies, a server that dies, a spec that changes again, an administrator who asks for something.
// The next reconcile goes on from what there is then, and holds while something is not well.

export type RolloutState =
  /** Other pairs get the new image first. */
  | 'Queued'
  /** The new image is started once, beside the servers. */
  | 'TryingImage'
  /** The disk set of the server is being handed to its partner. */
  | 'TakingOver'
  /** Its pod ends, and a new one starts. */
  | 'Replacing'
  | 'GivingBack'
  /** A server refused; it is asked again in a while. */
  | 'Retrying'
  /** Held up by a fault that passes by itself or needs an administrator; `message` says which. */
  | 'Waiting'
  | 'Paused'
  /** Unsafe; `message` says why. */
  | 'Blocked';

export type RolloutStep =
  | { readonly kind: 'move'; readonly home: ServerView; readonly request: RequestAnnotation }
  | { readonly kind: 'replace'; readonly server: ServerView; readonly pod: PodFinding }
  /** Start the image once; `failed`: the pod in which it did not, which goes first. */
  | { readonly kind: 'try'; readonly server: ServerView }
  | { readonly kind: 'end trial' };

export interface Rollout {
  readonly state: RolloutState;
  /** The server that it is about; null: the pair as a whole. */
  readonly server: string | null;
  /** A sentence for people. */
  readonly message: string;
  /** To be done now; null: nothing. */
  readonly step: RolloutStep | null;
  /** When time alone changes the finding: ms since the epoch; null: never. */
  readonly wakeAt: number | null;
  /** The pair's turn has come: an image is being tried, or a server has been touched. */
  readonly begun: boolean;
}

/** `begun`: where the state alone does not say it. */
type Finding = Omit<Rollout, 'begun'> & { readonly begun?: true };

/** How many pairs roll a new image out at the same time, of so many that want it. */
export const atOnceMax = (pairs: number): number => Math.max(5, Math.ceil(pairs / 20));

/** A refused request is repeated after this long, ms. */
const RETRY_MS = 10_000;
/** A process that has just started is still busy with itself, and its clients would wait for that. ms */
const SETTLE_MS = 4_000;

/** null: both servers run as the spec wants them, and nothing is left to be given back. */
export const rollout = question((view: Assessment): Rollout | null => {
  if (view.pair.metadata.deletionTimestamp !== undefined) return null;
  const outdated = view.servers.filter((server) => outdatedPods(view, server).length > 0);
  // One that is drained stays away, whatever moved it.
  const moved = view.servers.filter((server) => movedByRollout(server) && !isDrained(view, server.name));
  if (outdated.length === 0 && moved.length === 0) return null;
  const work: Work = { view, outdated, moved };
  for (const policy of rolloutChain) {
    const found = policy(work);
    if (found !== null) return { ...found, begun: isBegun(work, found) };
  }
  return null;
});

/** Usable pods that were made from something else than the spec wants now. */
export const outdatedPods = question((view: Assessment, server: ServerView): PodFinding[] => {
  if (server.usable.length === 0) return [];
  const { template } = serverPod(view, server);
  return server.usable.filter(({ pod }) => pod.metadata.annotations?.[TEMPLATE_ANNOTATION] !== template);
});

interface Work {
  readonly view: Assessment;
  /** Servers with a pod that is not as the spec wants it. */
  readonly outdated: readonly ServerView[];
  /** Homes whose disk set this rollout has moved away. */
  readonly moved: readonly ServerView[];
}

const underWay: ReadonlySet<RolloutState> = new Set([
  'TryingImage',
  'TakingOver',
  'Replacing',
  'GivingBack',
  'Retrying',
]);

const isBegun = ({ view, outdated, moved }: Work, { state, begun }: Finding): boolean =>
  begun === true ||
  underWay.has(state) ||
  moved.length > 0 ||
  // One of them is made from the new spec already.
  view.servers.some((server) => server.usable.length > 0 && !outdated.includes(server));

/** First finding wins: what an administrator wants, what is under way, what would do harm, then the next step. */
export const rolloutChain: readonly ((work: Work) => Finding | null)[] = [
  function personAskedForSomething({ view }) {
    const asked = pendingMove(view);
    return asked === null
      ? null
      : hold('Waiting', null, `Waits for the ${moveText(asked)} that was asked for.`);
  },
  function ownRequestUnderWay({ view }) {
    for (const { name, partner, lease } of view.servers) {
      const { request } = lease ?? {};
      const mine = parseRequestId(request?.id);
      if (mine === null || lease?.requestResult?.id === request?.id) continue;
      return mine.kind === 'takeover'
        ? hold('TakingOver', name, `${partner} takes over the disk set of ${name}.`)
        : hold('GivingBack', name, `The disk set of ${name} fails back.`);
    }
    return null;
  },
  function paused({ view, outdated }) {
    return view.effective.rolloutPaused
      ? hold(
          'Paused',
          null,
          `spec.rollout.paused is true. ${outdated.map(({ name }) => name).join(' and ') || 'No server'} still ${outdated.length === 1 ? 'runs' : 'run'} as before the change.`,
        )
      : null;
  },
  function claimGoes({ view }) {
    const message = claimBeingDeleted(view);
    return message === null ? null : hold('Blocked', null, message);
  },
  function claimsDoNotFit({ view }) {
    const found = misfit(view);
    return found === null ? null : hold('Blocked', null, found.message);
  },
  function unsafe({ view, outdated }) {
    const message = outdated.length === 0 ? null : unsafeChange(view, outdated);
    return message === null ? null : hold('Blocked', null, message);
  },
  function brokenPod({ view, outdated }) {
    for (const server of outdated)
      for (const pod of outdatedPods(view, server))
        if (servesNothing(view, server, pod))
          return replace(server, pod, `${pod.because}; it starts anew as the spec wants it now`);
    return null;
  },
  function wave(work) {
    const { view } = work;
    const newImage = imageChanges(work);
    if (!(newImage || renderingChanges(work)) || isBegun(work, queued(''))) return null;
    const { others } = view.observed;
    const what = newImage ? `Image ${wantedImage(view)}` : 'What the operator now makes otherwise of pods';
    if (others.stuck !== null)
      return queued(`${what} goes to no further pair while one does not come back: ${others.stuck}`);
    const arrived = others.arrivedAt.includes(arrival(wantedImage(view), renderingOf(view)));
    const turns = arrived || others.count === 0 ? atOnceMax(others.count + 1) : 1;
    if (others.rollingOut < turns) return null;
    return queued(
      turns === 1
        ? `${what} comes to one pair first; the others follow when both of its servers run it.`
        : `${what} comes to ${turns} pairs at a time.`,
    );
  },
  function imageNeverStarted(work) {
    const { view, outdated } = work;
    if (!imageChanges(work)) return null;
    const trial = imageTrial(view);
    switch (trial.kind) {
      case 'started':
        return null;
      case 'try':
        return {
          ...hold('TryingImage', null, `Image ${wantedImage(view)} is tried before a server is replaced.`),
          step: { kind: 'try', server: outdated[0]! },
        };
      case 'wait':
        return hold('TryingImage', null, trial.message);
      case 'failed':
        return trial.again !== null && view.now >= trial.again
          ? { ...hold('Blocked', null, trial.message), step: { kind: 'end trial' }, begun: true }
          : { ...hold('Blocked', null, trial.message, trial.again), begun: true };
    }
  },
  function ownsNothing({ view, outdated }) {
    const server = outdated.find((one) => one.pods.every((pod) => !ownsSomething(view, pod)));
    if (server === undefined) return null;
    const partner = partnerOf(view, server);
    const unserved = view.servers.find(
      (home) => home.lease?.holderServer !== partner.name || diskSetPhase(view, home) !== 'Serving',
    );
    if (unserved !== undefined || !runs(partner))
      return hold(
        'Waiting',
        server.name,
        `Waits until ${partner.name} serves both disk sets, before the pod of ${server.name} is replaced.`,
      );
    return replace(server, outdatedPods(view, server)[0]!, `${partner.name} serves both disk sets`);
  },
  function serverNotRunning({ view }) {
    const server = view.servers.find((one) => !runs(one));
    if (server === undefined) return null;
    const pod = server.usable.at(-1) ?? server.current;
    const doing = pod === null ? 'it has no pod yet' : `pod ${pod.pod.metadata.name}: ${pod.because}`;
    const state = server.usable.some(({ state: one }) => one === 'Pending' || one === 'Starting');
    return hold(
      state ? 'Replacing' : 'Waiting',
      server.name,
      `Waits until ${server.name} runs again; ${doing}.`,
    );
  },
  function takeoverNotPossible({ view }) {
    const { status, reason, message } = takeoverPossible(view);
    // A rollout asks for its takeovers; that the servers would not do it by themselves is what the spec wants.
    return status === 'True' || reason === 'ManualMode'
      ? null
      : hold('Waiting', null, `No server is touched now: ${message}`);
  },
  function giveback({ view, moved, outdated }) {
    const home = moved.find((one) => !outdated.includes(one));
    if (home === undefined) return null;
    const since = readySince(home);
    // A kubelet's clock may be wrong: then there is no wait.
    if (since === null || since > view.now || view.now >= since + SETTLE_MS)
      return move(view, home, 'giveback');
    const message = `${home.name} runs as the spec wants it; its disk set fails back in a moment.`;
    return hold('GivingBack', home.name, message, since + SETTLE_MS);
  },
  function otherDiskSetAway({ view }) {
    const away = view.servers.find(({ name, lease }) => lease?.holderServer !== name);
    return away === undefined
      ? null
      : hold(
          'Waiting',
          null,
          `Waits until the disk set of ${away.name} is on its home server again: ${away.lease?.holderServer ?? 'nobody'} serves it, and replacing that server's pod would move everything at once. ${isDrained(view, away.name) ? `spec.maintenance.drain lists ${away.name}` : `To give it back: kubectl filerpair -n ${view.observed.namespace} giveback ${away.name} ${view.observed.name}`}`,
        );
  },
  function diskSetNotServed({ view }) {
    const home = view.servers.find((one) => diskSetPhase(view, one) !== 'Serving');
    return home === undefined
      ? null
      : hold('Waiting', null, `Waits until the disk set of ${home.name} is served.`);
  },
  function next({ view, outdated }) {
    return outdated[0] === undefined ? null : move(view, outdated[0], 'takeover');
  },
];

const imageChanges = ({ view, outdated }: Work): boolean =>
  outdated.some((server) =>
    outdatedPods(view, server).some(({ pod }) => !imagesOfPod(pod).includes(wantedImage(view))),
  );

/** A pod differs for more than a change of its spec: another operator, or one with other settings, made it. */
const renderingChanges = ({ view, outdated }: Work): boolean =>
  outdated.some((server) =>
    outdatedPods(view, server).some(
      ({ pod }) => pod.metadata.annotations?.[RENDERING_ANNOTATION] !== renderingOf(view),
    ),
  );

/** Image and rendering that both servers of a pair run, as other pairs know them. */
export const arrival = (image: string, rendering: string | undefined): string =>
  `${image} ${rendering ?? 'unknown'}`;

const queued = (message: string): Finding => hold('Queued', null, message);

/** This pod serves nobody, so its end is no loss: its server does not run, and is not about to start again. */
function servesNothing(view: Assessment, server: ServerView, pod: PodFinding): boolean {
  if (pod.state === 'Running' || pod.state === 'Starting') return false;
  if (!ownsSomething(view, pod)) return true;
  // Dead and proven so: the kubelet starts it again, but as it was; nobody can serve with a spec that does not work.
  return (
    pod.state === 'Restarting' &&
    view.servers.every(
      (home) => home.lease?.holderPodUid !== pod.pod.metadata.uid || diskSetPhase(view, home) === 'OwnerDead',
    ) &&
    !runs(partnerOf(view, server))
  );
}

const runs = (server: ServerView): boolean => server.usable.some(({ state }) => state === 'Running');

/** When the pod that runs now became ready, ms since the epoch by its kubelet's clock; null: not known. */
function readySince(server: ServerView): number | null {
  const running = server.usable.find(({ state }) => state === 'Running');
  const ready = running?.pod.status?.conditions?.find(({ type }) => type === 'Ready');
  const at = Date.parse(ready?.lastTransitionTime ?? '');
  return Number.isNaN(at) ? null : at;
}

function hold(
  state: RolloutState,
  server: string | null,
  message: string,
  wakeAt: number | null = null,
): Finding {
  return { state, server, message, step: null, wakeAt };
}

function replace(server: ServerView, pod: PodFinding, why: string): Finding {
  return {
    state: 'Replacing',
    server: server.name,
    message: `Pod ${pod.pod.metadata.name} of ${server.name} is replaced: ${why}.`,
    step: { kind: 'replace', server, pod },
    wakeAt: null,
  };
}

function move(view: Assessment, home: ServerView, kind: 'takeover' | 'giveback'): Finding {
  const { lease, name } = home;
  const last = parseRequestId(lease?.requestResult?.id);
  const again =
    last?.kind === kind && last.epoch === lease?.epoch && lease.requestResult?.result === 'refused';
  if (again) {
    const before = view.pair.status?.rollout;
    const since =
      before?.step === 'Retrying' && before.server === name ? Date.parse(before.sinceTime) : view.now;
    const message = `The ${kind} of the disk set of ${name} was refused: ${lease.requestResult?.message} It is asked for again.`;
    if (view.now < since + RETRY_MS) return hold('Retrying', name, message, since + RETRY_MS);
  }
  const id = `rollout-${kind}-${lease?.epoch ?? 0}-${again ? last.attempt + 1 : 1}`;
  return {
    state: kind === 'takeover' ? 'TakingOver' : 'GivingBack',
    server: name,
    message:
      kind === 'takeover'
        ? `${home.partner} takes over the disk set of ${name}, so that its pod can be replaced.`
        : `${name} runs as the spec wants it; its disk set fails back.`,
    step: { kind: 'move', home, request: { id, kind, reason: 'the spec has changed' } },
    wakeAt: null,
  };
}

/** The rollout's requests: unlike those of an administrator they name what they were made for. */
function parseRequestId(
  id: string | undefined,
): { readonly kind: 'takeover' | 'giveback'; readonly epoch: number; readonly attempt: number } | null {
  const [, kind, epoch, attempt] = /^rollout-(takeover|giveback)-(\d{1,15})-(\d{1,9})$/.exec(id ?? '') ?? [];
  return kind === undefined
    ? null
    : { kind: kind as 'takeover' | 'giveback', epoch: Number(epoch), attempt: Number(attempt) };
}

/** The rollout has moved the disk set away: the Lease's last request is the rollout's takeover, or its giveback that was refused. */
function movedByRollout({ lease, partner }: ServerView): boolean {
  const last = parseRequestId(lease?.requestResult?.id);
  if (last === null || lease?.holderServer !== partner) return false;
  return last.kind === 'takeover'
    ? lease.requestResult?.result === 'done'
    : lease.requestResult?.result === 'refused';
}

/** The Lease has the answer to a takeover of the rollout, and the disk set is back: no later move may count as the rollout's. */
export const staleTrace = ({ lease, name }: ServerView): boolean => {
  const last = parseRequestId(lease?.requestResult?.id);
  return last?.kind === 'takeover' && lease?.requestResult?.result === 'done' && lease.holderServer === name;
};
