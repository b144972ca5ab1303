// Progressing: is something under way that will end by itself, or does something wait for a person?

import { serverPod } from '../decide/desired/pod.ts';
import { templateAnnotation } from '../decide/names.ts';
import type { View } from '../decide/view.ts';
import { requestFindings } from './requests.ts';
import { firstFinding, isFalse, isTrue, type Policy, type Verdict } from './verdict.ts';

export const progressingChain: readonly Policy<View>[] = [
  function beingDeleted(view) {
    if (view.pair.metadata.deletionTimestamp === undefined) return null;
    const left = view.servers
      .flatMap(({ pods }) => pods)
      .map(({ pod }) => {
        const { nodeName } = pod.spec ?? {};
        return `${pod.metadata.name}${nodeName === undefined ? '' : ` on node ${nodeName}`}`;
      });
    return isTrue(
      'Deleting',
      left.length === 0
        ? 'The pair is being deleted.'
        : `The pair is being deleted and waits for the end of ${left.join(' and ')}.`,
    );
  },
  function requestUnderWay(view) {
    const waiting = requestFindings(view).find(({ kind }) => kind === 'pass on' || kind === 'wait');
    return waiting !== undefined && 'asked' in waiting
      ? isTrue(
          'RequestUnderWay',
          `A ${waiting.asked.kind} of the disk set of ${waiting.asked.value} was asked for.`,
        )
      : null;
  },
  function podsStarting(view) {
    const starting = view.servers
      .flatMap(({ usable }) => usable)
      .filter(({ state }) => state !== 'Running')
      .map(({ pod, because }) => `pod ${pod.metadata.name}: ${because}`);
    return starting.length > 0 ? isTrue('PodsStarting', `${starting.join('; ')}.`) : null;
  },
  function podsOutdated(view) {
    const outdated = view.servers.flatMap((server) => {
      const { template } = serverPod(view, server);
      return server.usable.filter(({ pod }) => pod.metadata.annotations?.[templateAnnotation] !== template);
    });
    if (outdated.length === 0) return null;
    const names = outdated.map(({ pod }) => pod.metadata.name);
    return isTrue(
      'RestartNeeded',
      `The spec has changed since ${names.join(' and ')} started. Delete one pod after the other, with a giveback in between, for the change to take effect.`,
    );
  },
];

export const progressing = (view: View): Verdict =>
  firstFinding(progressingChain, view, isFalse('Settled', 'Everything is as the spec wants it.'));
