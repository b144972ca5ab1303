// Tells pods that this operator, with its settings, would make otherwise from those that a change of their own spec has outdated:
// a fingerprint of what it makes of three FilerPairs that never change. An upgrade that changes it comes to all pairs at once
// if nobody holds it up.

import { type FilerPairSpecInput, filerPairSpec } from '../../crds/filerpair.ts';
import { fingerprint } from '../model/fingerprint.ts';
import type { FilerPairObject } from '../model/objects.ts';
import type { OperatorSettings } from '../model/observed.ts';
import { type View, viewPair } from '../model/view.ts';
import { serverPod } from './pod.ts';

const servers: FilerPairSpecInput['servers'] = ['a', 'b'].map((name) => ({
  name,
  volumes: [{ name: 'data', claim: { size: '1Gi' } }],
  exports: [{ path: '/data', volume: 'data', clients: ['10.0.0.0/8'] }],
  placement: {
    nodeSelector: { 'example.org/pool': 'files' },
    tolerations: [{ key: 'example.org/files', operator: 'Exists' }],
    resources: { requests: { cpu: '1' }, limits: { memory: '4Gi' } },
    priorityClassName: 'files',
  },
}));

/** Between them they have every part of a pod. The image is not the subject: a new one is a wave anyway. */
const examples: readonly FilerPairSpecInput[] = [
  { image: 'example', servers, storage: { lateWrites: 'Coherent' }, hostNetwork: true },
  {
    image: 'example',
    servers: servers.map(({ placement: _, ...server }) => server),
    storage: { lateWrites: 'SameNode' },
  },
  {
    image: 'example',
    servers: servers.map((server) => ({
      ...server,
      volumes: [{ name: 'data', claim: { size: '1Gi', accessMode: 'ReadWriteOnce' as const } }],
    })),
    storage: { transfer: 'Reattach' },
  },
];

const known = new WeakMap<OperatorSettings, string>();

/** The same for all pairs of one operator. */
export function renderingOf({ observed, settings }: View): string {
  const before = known.get(settings);
  if (before !== undefined) return before;
  const made = fingerprint(
    examples.map((input) => {
      const spec = filerPairSpec.parse(input);
      const pair = {
        metadata: { name: 'example', namespace: 'example', uid: 'example' },
        spec,
      } as FilerPairObject;
      const nothing = { ...observed, name: 'example', namespace: 'example', pair, pods: [], leases: [] };
      const view = viewPair(nothing, spec, settings, 0);
      return view.servers.map((server) => serverPod(view, server).template);
    }),
  );
  known.set(settings, made);
  return made;
}
