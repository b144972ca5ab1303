/**
 * Tells pods that this operator, its settings or their class would make otherwise from those that a change of their own spec
 * has outdated. It is a fingerprint of what the operator makes of three FilerPairs that never change, and of what the class
 * says about pods. Such a change comes to all pairs at once if nobody holds it up.
 */

import { type FilerPairSpecInput, filerPairSpec } from '../../crds/pair/spec.ts';
import { fingerprint } from '../model/fingerprint.ts';
import type { FilerPairObject } from '../model/objects.ts';
import type { OperatorSettings } from '../model/observed.ts';
import { type View, viewPair } from '../model/view.ts';
import { serverPod } from './pod.ts';

const claimTemplate = { spec: { resources: { requests: { storage: '1Gi' } } } };
const volumes: FilerPairSpecInput['volumes'] = [{ name: 'data', claimTemplate }];
const podTemplate: FilerPairSpecInput['podTemplate'] = {
  metadata: { labels: { 'example.org/team': 'files' } },
  spec: {
    nodeSelector: { 'example.org/pool': 'files' },
    tolerations: [{ key: 'example.org/files', operator: 'Exists' }],
    priorityClassName: 'files',
    imagePullSecrets: [{ name: 'registry' }],
    containers: [{ name: 'server', resources: { requests: { cpu: '1' }, limits: { memory: '4Gi' } } }],
  },
};

/** Between them they have every part of a pod. */
const examples: readonly FilerPairSpecInput[] = [
  { volumes, podTemplate, storage: { type: 'SharedCoherent' }, exposure: { type: 'HostNetwork' } },
  { volumes, storage: { type: 'SameNode' } },
  { volumes, podTemplate, storage: { type: 'Reattach' } },
];

/** The image is not the subject: a new one is a wave anyway. */
const pairClass = {
  metadata: { name: 'example' },
  spec: { allowedNamespaces: { from: 'All' as const }, images: { server: 'example' } },
};

const known = new WeakMap<OperatorSettings, string>();

/** The same for all pairs of one class. */
export const renderingOf = (view: View): string => fingerprint([ofOperator(view), view.classFingerprint]);

function ofOperator({ observed, settings }: View): string {
  const before = known.get(settings);
  if (before !== undefined) return before;
  const made = fingerprint(
    examples.map((input) => {
      const spec = filerPairSpec.parse(input);
      const pair = {
        metadata: { name: 'example', namespace: 'example', uid: 'example' },
        spec,
      } as FilerPairObject;
      const own = { name: 'example', namespace: 'example', pair, pairClass, pods: [], leases: [] };
      const view = viewPair({ ...observed, ...own }, spec, settings, 0);
      return view?.servers.map((server) => serverPod(view, server).template);
    }),
  );
  known.set(settings, made);
  return made;
}
