/**
 * Degraded: does the pair work with less than it should have? Worst first: files that are about to be lost; a pair without a
 * second server, which will not survive the next failure; both servers on one node.
 */

import {
  type ConditionResult,
  firstFinding,
  isFalse,
  isTrue,
  type Policy,
} from '../model/condition-result.ts';
import { type Assessment, question } from './assessment.ts';
import { claimGoes } from './claim-being-deleted.ts';
import { notFenced } from './disk-location.ts';
import { isProvenAlive, whyNoTakeover } from './owner-life.ts';
import { podReplacement } from './pod-replacement.ts';

export const degradedChain: readonly Policy<Assessment>[] = [
  claimGoes,
  function everythingLost(view) {
    return view.servers.some((server) => podReplacement(view, server).finding === 'everythingLost')
      ? isTrue(
          'NodesUnreachable',
          'The nodes of both servers are not ready, which looks like trouble of the control plane or the network. Nothing is replaced: the servers may be serving.',
        )
      : null;
  },
  function holderUnreachable(view) {
    const server = view.servers.find((one) => podReplacement(view, one).finding === 'holderUnreachable');
    const pod = server?.current;
    if (!server || !pod) return null;
    const uid = pod.pod.metadata.uid ?? null;
    const home = view.servers.find(({ lease }) => lease?.holderPodUid === uid);
    const so = isProvenAlive(view, uid)
      ? 'its partner runs and has not taken over, so it is alive and is left alone'
      : `whether it is alive is not known, since its partner does not take over by itself (${home && whyNoTakeover(view, home)}); it is left alone`;
    return isTrue(
      'NodeUnreachable',
      `Pod ${pod.pod.metadata.name} still owns a disk set although ${pod.because}: ${so}.`,
    );
  },
  function serverDown(view) {
    for (const server of view.servers) {
      if (server.pods.some(({ state }) => state === 'Running')) continue;
      const pod = server.current;
      return isTrue(
        'ServerDown',
        pod === null
          ? `${server.name} has no pod.`
          : `${server.name} does not run: pod ${pod.pod.metadata.name}: ${pod.because}.`,
      );
    }
    return null;
  },
  function witnessWentBack(view) {
    const told = view.servers.flatMap(({ name, lease }) => {
      const found = lease?.witnessWentBack ?? null;
      // The Lease has a history of its own again after the next change of owner.
      if (found === null || found.epoch !== lease?.epoch) return [];
      return [
        `${found.server} has seen the Lease of ${name} go back: ${found.message}. What the servers know is written again; what else was restored with it has to be looked at.`,
      ];
    });
    return told.length === 0 ? null : isTrue('WitnessWentBack', told.join(' '));
  },
  function contested(view) {
    const problem = view.observed.problems.find(({ concerns }) => concerns === 'contested');
    return problem === undefined ? null : isTrue(problem.reason, problem.message);
  },
  function volumeErrors(view) {
    const told = view.servers.flatMap(({ name, lease }) => {
      const found = lease?.volumeErrors ?? null;
      // The finding is about an earlier owner, which no longer counts.
      if (found === null || found.epoch !== lease?.epoch || found.server !== lease.holderServer) return [];
      return [
        `${found.server} serves the disk set of ${name}, and has told clients of errors: ${found.message}.`,
      ];
    });
    return told.length === 0 ? null : isTrue('VolumeErrors', told.join(' '));
  },
  function absentExports(view) {
    const told = view.servers.flatMap(({ lease }) => {
      const found = lease?.absentExports ?? null;
      if (found === null || found.epoch !== lease?.epoch || found.server !== lease.holderServer) return [];
      return [`${found.message}. Create the directory, or change the FilerShare.`];
    });
    return told.length === 0 ? null : isTrue('ExportAbsent', told.join(' '));
  },
  function notFencedByStorage(view) {
    const volumes = view.servers.flatMap((home) => notFenced(view, home));
    return volumes.length === 0
      ? null
      : isTrue(
          'NotFenced',
          `No VolumeAttachment exists for ${volumes.join(', ')}: the driver attaches nothing (attachRequired: false), so the storage does not keep a node that is only cut off from writing. Use a driver that attaches, or another storage type that holds.`,
        );
  },
  function sameNode(view) {
    if (view.effective.storageType === 'SameNode') return null;
    const [a, b] = view.servers.map(({ current }) => current?.pod);
    const node = a?.spec?.nodeName;
    return node !== undefined && node === b?.spec?.nodeName
      ? isTrue(
          'SameNode',
          `Both servers run on node ${node}, which would take both with it. When another node can take it, delete the pod of a server that owns nothing, or hand over first.`,
        )
      : null;
  },
];

export const degraded = question(
  (view: Assessment): ConditionResult =>
    firstFinding(degradedChain, view, isFalse('Whole', 'Both servers run.')),
);
