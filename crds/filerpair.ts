// The FilerPair resource, filerpair.dev/v1alpha1: the one definition from which types, validation in the operator,
// the CRD (crds/generate.ts) and docs/api.md come. Values that are not listed here do not work yet and are refused:
// a promise about disks is either kept or not made.

import { z } from 'zod';
import { duration, keyed, port, text } from './fields.ts';
import { filerPairStatus } from './filerpair-status.ts';
import { durationMs } from './quantities.ts';
import { withRules } from './rule.ts';
import { server } from './server.ts';
import { storage } from './storage.ts';

const ports = withRules(
  z.object({
    primary: port('TCP port on which a server serves its own disk set.').default(2049),
    secondary: port(
      'TCP port on which a server serves its partner’s disk set; closed unless it owns it.',
    ).default(2050),
    interconnect: port('TCP port of the connection between the two servers.').default(7420),
    metrics: port('TCP port for health, status and metrics (HTTP, read only).').default(9090),
  }),
  [
    {
      cel: '[self.primary, self.secondary, self.interconnect, self.metrics].all(p, [self.primary, self.secondary, self.interconnect, self.metrics].exists_one(q, p == q))',
      message: 'primary, secondary, interconnect and metrics must be four different ports',
      holds: (self) => new Set(Object.values(self)).size === 4,
    },
  ],
).meta({ description: 'TCP ports, the same for both servers.' });

const failover = withRules(
  z.object({
    suffix: z
      .string()
      .min(1)
      .max(40)
      .regex(/^[-a-z0-9]*[a-z0-9]$/, 'must consist of lower case letters, digits and -, and not end with -')
      .default('-failover')
      .meta({
        description:
          'Text that clients append to a server’s name to get its failover name. The failover name always resolves to the partner. Cannot be changed.',
      }),
    mode: z.enum(['Automatic', 'Manual']).default('Automatic').meta({
      description:
        'Automatic: the partner takes over by itself. Manual: a takeover waits until an administrator asks for it; clients wait as long.',
    }),
    lease: duration(
      'T: how long a server may serve after the last confirmation by its partner or by the API. A silent death costs clients the wait for silence: lease + guard, or 13/11 of lease + guard/2 if that is longer, as clocks may be slewed.',
    ).default('2s'),
    guard: duration(
      'Added to the lease before the partner claims: covers clock drift, and its first half the time until the kernel has killed a stalled server.',
    ).default('500ms'),
    heartbeat: duration('Interval between two heartbeats of the servers.').default('200ms'),
    fencing: z
      .enum(['Lease'])
      .default('Lease')
      .meta({ description: 'What a takeover needs. Lease: the rules of leases and epochs.' }),
    replaceAfter: duration(
      'How long a node may be not ready before its server gets a new pod on another node. Clients do not wait for it: the partner has taken over by then.',
    ).default('30s'),
  }),
  [
    {
      cel: "duration(self.heartbeat) >= duration('20ms')",
      message: 'heartbeat must be at least 20ms',
      field: ['heartbeat'],
      holds: (self) => durationMs(self.heartbeat) >= 20,
    },
    {
      cel: 'duration(self.heartbeat) + duration(self.heartbeat) + duration(self.heartbeat) <= duration(self.lease)',
      message: 'lease must be at least three heartbeats, or one lost heartbeat looks like a death',
      field: ['lease'],
      holds: (self) => durationMs(self.heartbeat) * 3 <= durationMs(self.lease),
    },
    {
      cel: "duration(self.lease) >= duration('300ms') && duration(self.lease) <= duration('60s')",
      message: 'lease must be between 300ms and 60s',
      field: ['lease'],
      holds: (self) => durationMs(self.lease) >= 300 && durationMs(self.lease) <= 60_000,
    },
    {
      cel: "duration(self.guard) >= duration('100ms') && duration(self.guard).getMilliseconds() * 10 >= duration(self.lease).getMilliseconds()",
      message:
        'guard must be at least 100ms and a tenth of the lease: a stalled server has to be dead (lease + guard/2) before its partner may take over (lease + guard or later)',
      field: ['guard'],
      holds: (self) => durationMs(self.guard) >= 100 && durationMs(self.guard) * 10 >= durationMs(self.lease),
    },
    {
      cel: 'duration(self.guard) <= duration(self.lease)',
      message: 'guard must not be longer than the lease',
      field: ['guard'],
      holds: (self) => durationMs(self.guard) <= durationMs(self.lease),
    },
  ],
  [
    {
      cel: 'self.suffix == oldSelf.suffix',
      message: 'suffix cannot be changed: clients compute names with it',
    },
  ],
).meta({ description: 'How a failure is noticed and what follows.' });

const giveback = z
  .object({
    mode: z.enum(['Automatic', 'Manual']).default('Automatic').meta({
      description:
        'Automatic: a disk set fails back by itself when its server is back and has been steady for a while. Manual: when an administrator asks for it.',
    }),
    after: duration('How long the home server must have been heard without a gap.').default('60s'),
    retries: z.int().min(0).max(100).default(2).meta({
      description:
        'Further attempts after one that the home server did not complete; each waits twice as long. Then an administrator has to ask.',
    }),
    takeoversMax: z.int().min(1).max(16).default(3).meta({
      description:
        'So many takeovers within window end automatic givebacks until an administrator asks for one: the disk set would only go to and fro.',
    }),
    window: duration('Time in which takeovers are counted.').default('1h'),
  })
  .meta({ description: 'How a disk set goes back to its own server after a takeover.' });

/** CEL, over the whole spec. */
const KEPT_ON_ONE_NODE = "has(self.storage.lateWrites) && self.storage.lateWrites == 'SameNode'";

const dns = withRules(
  z.object({
    domain: z
      .string()
      .min(1)
      .max(180)
      .regex(
        /^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$/,
        'must be a DNS domain such as nas.example.org',
      )
      .meta({ description: 'Domain of the published names, such as nas.example.org.' }),
    ttl: duration('Time to live of the records, in whole seconds.').default('30s'),
    publish: z.boolean().default(true).meta({
      description: 'Whether to publish the names through ExternalDNS. false: somebody else does.',
    }),
    source: z.enum(['DNSEndpoint', 'ServiceAnnotations']).default('DNSEndpoint').meta({
      description:
        'How ExternalDNS is told. DNSEndpoint: its own resource (--source=crd). ServiceAnnotations: annotations of the Services (--source=service), for installations without that resource.',
    }),
  }),
  [
    {
      cel: "duration(self.ttl) >= duration('1s') && duration(self.ttl) <= duration('24h')",
      message: 'ttl must be between 1s and 24h: clients look for a server again when it has run out',
      field: ['ttl'],
      holds: (self) => durationMs(self.ttl) >= 1000 && durationMs(self.ttl) <= 86_400_000,
    },
    {
      cel: 'duration(self.ttl).getMilliseconds() % 1000 == 0',
      message: 'ttl must be whole seconds: DNS knows no parts of a second',
      field: ['ttl'],
      holds: (self) => durationMs(self.ttl) % 1000 === 0,
    },
  ],
).meta({
  description:
    'Names outside the cluster: `<server>.<domain>` and `<server><suffix>.<domain>`. They never change at a failover.',
});

const service = z
  .object({
    type: z.enum(['ClusterIP', 'NodePort', 'LoadBalancer']).default('ClusterIP').meta({
      description:
        'Type of the Services that clients use. NodePort: clients outside the cluster use ports of the nodes, which spec.servers[].nodePorts says.',
    }),
    externalTrafficPolicy: z.enum(['Local', 'Cluster']).default('Local').meta({
      description:
        'With NodePort and LoadBalancer. Local: only the node of the pod accepts connections, and servers see the addresses of clients, which exports name. Cluster: every node accepts them, and servers see the addresses of nodes.',
    }),
    annotations: z
      .record(z.string(), z.string().max(4096))
      .optional()
      .meta({ description: 'Annotations of these Services, for instance for a load balancer.' }),
  })
  .meta({ description: 'The Services of both servers.' });

const HOSTNAME = 'kubernetes.io/hostname';

const spread = keyed(
  z.object({
    topologyKey: text('Label of nodes, such as kubernetes.io/hostname or topology.kubernetes.io/zone.', 317),
    mode: z.enum(['Preferred', 'Required']).default('Preferred').meta({
      description:
        'Preferred: the servers run apart where that is possible. Required: rather not at all than together; a pod then waits for a node.',
    }),
  }),
  'topologyKey',
  0,
  4,
  'What the two servers shall not share. Not with storage.lateWrites SameNode, which keeps them together.',
).default([{ topologyKey: HOSTNAME, mode: 'Preferred' }]);

const rollout = z
  .object({
    paused: z.boolean().default(false).meta({
      description:
        'true: running servers stay as they are when the spec changes, until it is false again. The servers complete a step that has begun.',
    }),
  })
  .meta({
    description:
      'How changes of the spec reach running servers: one after the other, each through a planned takeover and a giveback.',
  });

type Server = z.output<typeof server>;

const nodePortsOf = (servers: readonly Server[]): number[] =>
  servers.flatMap(({ nodePorts: its }) => [its?.primary, its?.secondary]).filter((one) => one !== undefined);

/** Both lists in one, in CEL, where optional numbers have no other way into a list. */
const celNodePorts = ['primary', 'secondary']
  .map(
    (use) => `self.servers.filter(s, has(s.nodePorts) && has(s.nodePorts.${use})).map(s, s.nodePorts.${use})`,
  )
  .join(' + ');

/** Of the claims that the pair makes; those that it adopts say their own access modes. */
const everyClaim = (
  self: { readonly servers: readonly z.output<typeof server>[] },
  fits: (accessMode: string) => boolean,
): boolean =>
  self.servers.every((s) => s.volumes.every((v) => v.claim === undefined || fits(v.claim.accessMode)));

export const filerPairSpec = withRules(
  z.object({
    servers: withRules(
      keyed(server, 'name', 2, 2, 'The two servers.'),
      [],
      [
        {
          cel: 'self.all(s, oldSelf.exists(o, o.name == s.name))',
          message: 'the names of the servers cannot be changed: clients and disks know them',
        },
      ],
    ),
    ports: ports.prefault({}),
    failover: failover.prefault({}),
    giveback: giveback.prefault({}),
    storage,
    service: service.prefault({}),
    metricsTokenSecret: text(
      'Name of a Secret in the same namespace with the key `token`, of 16 characters at least: servers tell status and metrics only to who shows it (`Authorization: Bearer TOKEN`). The Secret has to have the label `filerpair.dev/offered-to` with the name of the FilerPair. Absent: to everybody whom the NetworkPolicies let reach the port.',
      253,
    ).optional(),
    hostNetwork: z.boolean().default(false).meta({
      description:
        'true: the servers use the network of their nodes, so that clients outside the cluster reach the ports of spec.ports at the nodes themselves, and servers see the addresses of clients. The two servers then never share a node.',
    }),
    dns: dns.optional(),
    spread,
    rollout: rollout.prefault({}),
    image: text(
      'Image of the file server; absent: the one that belongs to the operator’s version. Has to be granted to the namespace (docs/operator.md).',
      1024,
    ).optional(),
  }),
  [
    {
      cel: 'self.servers.all(s, size(s.name) + size(self.failover.suffix) <= 63)',
      message:
        'name of a server and failover.suffix together must have at most 63 characters: they are a DNS label',
      field: ['servers'],
      holds: (self) => self.servers.every((s) => s.name.length + self.failover.suffix.length <= 63),
    },
    {
      cel: 'self.servers.all(s, !self.servers.exists(t, t.name == s.name + self.failover.suffix))',
      message: 'the failover name of one server must not be the name of the other',
      field: ['servers'],
      holds: (self) =>
        self.servers.every((s) => self.servers.every((t) => t.name !== s.name + self.failover.suffix)),
    },
    {
      cel: 'self.servers.all(s, has(s.certificateSecret)) || self.servers.all(s, !has(s.certificateSecret))',
      message:
        'certificateSecret: both servers have certificates from the operator, or both from elsewhere, since each must trust the other’s authority',
      field: ['servers'],
      holds: (self) =>
        new Set(self.servers.map(({ certificateSecret }) => certificateSecret === undefined)).size === 1,
    },
    {
      cel: "self.servers.all(s, size(s.name) + 13 <= 63) && self.failover.suffix != '-interconnect'",
      message:
        'the Services <server>-interconnect need a DNS label of their own: a server’s name has at most 50 characters, and failover.suffix is not -interconnect',
      field: ['servers'],
      holds: (self) =>
        self.servers.every((s) => s.name.length + 13 <= 63) && self.failover.suffix !== '-interconnect',
    },
    {
      cel: `!(${KEPT_ON_ONE_NODE}) || self.spread.all(s, s.mode == 'Preferred')`,
      message: 'storage.lateWrites SameNode keeps the servers together: spread must not require them apart',
      field: ['spread'],
      holds: (self) =>
        self.storage.lateWrites !== 'SameNode' || self.spread.every(({ mode }) => mode === 'Preferred'),
    },
    {
      cel: `(${celNodePorts}).all(p, (${celNodePorts}).exists_one(q, p == q))`,
      message: 'nodePorts: every Service needs a number of its own, so all that are given are different',
      field: ['servers'],
      holds: (self) => new Set(nodePortsOf(self.servers)).size === nodePortsOf(self.servers).length,
    },
    {
      cel: "self.service.type != 'ClusterIP' || self.servers.all(s, !has(s.nodePorts))",
      message: 'nodePorts need service.type NodePort or LoadBalancer',
      field: ['service'],
      holds: (self) =>
        self.service.type !== 'ClusterIP' || self.servers.every(({ nodePorts: its }) => its === undefined),
    },
    {
      cel: `!self.hostNetwork || !(${KEPT_ON_ONE_NODE})`,
      message:
        'hostNetwork: two servers cannot listen on the same ports of one node, where storage.lateWrites SameNode keeps them; use service.type NodePort',
      field: ['hostNetwork'],
      holds: (self) => !self.hostNetwork || self.storage.lateWrites !== 'SameNode',
    },
    {
      cel: `self.storage.transfer == 'Reattach' || (${KEPT_ON_ONE_NODE}) || self.servers.all(s, s.volumes.all(v, !has(v.claim) || v.claim.accessMode == 'ReadWriteMany'))`,
      message:
        'a ReadWriteOnce claim needs storage.transfer Reattach, with which it moves from node to node, or storage.lateWrites SameNode: two nodes cannot mount it',
      field: ['storage'],
      holds: (self) =>
        self.storage.transfer === 'Reattach' ||
        self.storage.lateWrites === 'SameNode' ||
        everyClaim(self, (mode) => mode === 'ReadWriteMany'),
    },
    {
      cel: "self.storage.transfer == 'Reattach' || self.servers.all(s, s.volumes.all(v, !has(v.claim) || v.claim.accessMode != 'ReadWriteOncePod'))",
      message: 'a ReadWriteOncePod claim needs storage.transfer Reattach: two pods cannot use it',
      field: ['storage'],
      holds: (self) =>
        self.storage.transfer === 'Reattach' || everyClaim(self, (mode) => mode !== 'ReadWriteOncePod'),
    },
    {
      cel: "self.storage.transfer != 'Reattach' || self.servers.all(s, s.volumes.all(v, !has(v.claim) || v.claim.accessMode != 'ReadWriteMany'))",
      message:
        'storage.transfer Reattach needs claims with accessMode ReadWriteOnce or ReadWriteOncePod: one that may be attached to two nodes at once fences nothing; for ReadWriteMany choose transfer Shared',
      field: ['storage'],
      holds: (self) =>
        self.storage.transfer !== 'Reattach' || everyClaim(self, (mode) => mode !== 'ReadWriteMany'),
    },
  ],
);

/** Also checked by the API server, for the whole object. */
export const PAIR_NAME_RULE =
  'the name of a FilerPair must be a DNS label: at most 63 lower case letters, digits and -, first a letter, no dots';

export const filerPair = z.object({
  apiVersion: z.literal('filerpair.dev/v1alpha1'),
  kind: z.literal('FilerPair'),
  metadata: z.looseObject({
    name: z
      .string()
      .max(63, PAIR_NAME_RULE)
      .regex(/^[a-z]([-a-z0-9]*[a-z0-9])?$/, PAIR_NAME_RULE),
  }),
  spec: filerPairSpec,
  status: filerPairStatus.optional(),
});

/** As an administrator writes it: what has a default may be absent. */
export type FilerPairSpecInput = z.input<typeof filerPairSpec>;
export type FilerPairSpec = z.output<typeof filerPairSpec>;
export type FilerPairServer = FilerPairSpec['servers'][number];
export type FilerPairVolume = FilerPairServer['volumes'][number];

/** One sentence a line: the field, then what is wrong with it, as the API server would say it. */
export function explain(error: z.ZodError, root = 'spec'): string {
  return error.issues.map((issue) => `${pathText(root, issue.path)}: ${issue.message}`).join('\n');
}

const pathText = (root: string, path: readonly PropertyKey[]): string =>
  path.reduce<string>(
    (text, part) =>
      typeof part === 'number' ? `${text}[${part}]` : text === '' ? String(part) : `${text}.${String(part)}`,
    root,
  );
