/** With what a drill begins, and where it refuses to. */
import { expect, it } from 'vitest';
import type { DiskSetObject, PairObject, ShareObject } from '../pairs/cluster.ts';
import { type DrillSubject, drillPlan, PROBE_UID, type ServerPod } from './plan.ts';

const pair = {
  metadata: { name: 'nas', namespace: 'storage' },
  spec: {
    servers: [{ name: 'a' }, { name: 'b', serviceName: 'files' }],
    listeners: [{ name: 'nfs', port: 2049, failoverPort: 2050 }],
    names: { failoverSuffix: '-failover' },
  },
} as unknown as PairObject;

const share = (name: string, spec: object = {}, ready = 'True'): ShareObject =>
  ({
    metadata: { name },
    spec: { server: 'a', clientPorts: 'Any', access: 'ReadWrite', ...spec },
    status: { path: `/${name}`, conditions: [{ type: 'Ready', status: ready, message: 'not served.' }] },
  }) as unknown as ShareObject;

const partnerPod = {
  metadata: { name: 'nas-b-1' },
  spec: {
    nodeName: 'worker-2',
    imagePullSecrets: [{ name: 'pull' }],
    containers: [
      { name: 'sentinel', image: 'other' },
      { name: 'server', image: 'registry.example.com/fileserver:1', imagePullPolicy: 'IfNotPresent' },
    ],
  },
} as unknown as ServerPod;

const record = { status: { owner: 'a', epoch: 7 } } as unknown as DiskSetObject;
const subject: DrillSubject = { pair, server: 'a', shares: [share('home')], record, partnerPod };
const choice = { share: undefined, write: false, uid: PROBE_UID };

it('asks the first share that it can use, by the Service of the server', () => {
  const shares = [share('other', { server: 'b' }), share('away', {}, 'False'), share('home'), share('more')];
  const { job, ...plan } = drillPlan({ ...subject, shares }, choice);
  expect(plan).toEqual({
    pair: 'nas',
    server: 'a',
    partner: 'b',
    service: 'nas-a',
    partnerService: 'files',
    share: 'home',
    epoch: 7,
    port: 2049,
    failoverPort: 2050,
  });
  expect(JSON.stringify(job)).toContain('"nfs://nas-a:2049:2050/home"');
  const named = drillPlan({ ...subject, shares }, { ...choice, share: 'more' });
  expect(JSON.stringify(named.job)).toContain('/more"');
});

it('runs the probe as a pod that Pod Security "restricted" admits, and that ends and goes by itself', () => {
  const { job } = drillPlan(subject, { share: undefined, write: true, uid: 1000 });
  const { spec } = job as unknown as { spec: Record<string, unknown> & { template: { spec: object } } };
  expect(spec).toMatchObject({ backoffLimit: 0, activeDeadlineSeconds: 1800, ttlSecondsAfterFinished: 300 });
  expect(spec.template.spec).toMatchObject({
    restartPolicy: 'Never',
    automountServiceAccountToken: false,
    imagePullSecrets: [{ name: 'pull' }],
    securityContext: { runAsNonRoot: true, seccompProfile: { type: 'RuntimeDefault' } },
    containers: [
      {
        image: 'registry.example.com/fileserver:1',
        args: [
          ...['filerpair', 'probe', 'nfs://nas-a:2049:2050/home', '--json', '--round-trip', '--timeout', '0'],
          ...['--uid', '1000', '--gid', '1000', '--write'],
        ],
        securityContext: {
          allowPrivilegeEscalation: false,
          readOnlyRootFilesystem: true,
          capabilities: { drop: ['ALL'] },
        },
      },
    ],
  });
});

it('says a suffix that clients would not guess', () => {
  const other = { ...pair, spec: { ...pair.spec, names: { failoverSuffix: '-standby' } } } as PairObject;
  const { job } = drillPlan({ ...subject, pair: other }, choice);
  expect(JSON.stringify(job)).toContain('/home?suffix=-standby"');
});

const refusals: readonly [string, Partial<DrillSubject>, Partial<typeof choice> & object, string][] = [
  [
    'a disk set that is away',
    { record: { status: { owner: 'b', epoch: 8 } } as unknown as DiskSetObject },
    {},
    'b serves the disk set of a: a drill begins with each server at its own (kubectl filerpair giveback a nas)',
  ],
  [
    'a server that is drained',
    { pair: { ...pair, spec: { ...pair.spec, maintenance: { drain: ['a'] } } } as unknown as PairObject },
    {},
    'a is out of service (spec.maintenance.drain): it would not get its disk set back. First: kubectl filerpair undrain a nas',
  ],
  ['no share', { shares: [] }, {}, 'the probe needs a FilerShare of a of nas, which has none'],
  [
    'shares that do not do',
    { shares: [share('one', { clientPorts: 'Reserved' }), share('two', {}, 'False')] },
    {},
    'the probe needs a FilerShare of a of nas: one takes calls from reserved ports only, which the probe may not open; two is not ready: not served.',
  ],
  [
    'to write to a read-only share',
    { shares: [share('home', { access: 'ReadOnly' })] },
    { write: true },
    'the probe needs a FilerShare of a of nas: home is read-only: without --write the probe only reads',
  ],
  ['a share of that name', {}, { share: 'hmoe' } as object, 'FilerPair nas has no FilerShare hmoe'],
  ['an image', { partnerPod: undefined }, {}, 'no server of nas runs whose image the probe could use'],
];

it.each(refusals)('refuses: %s', (_what, about, chosen, sentence) => {
  expect(() => drillPlan({ ...subject, ...about }, { ...choice, ...chosen })).toThrow(sentence);
});
