// The FilerPair resource, filerpair.dev/v1alpha1: the one definition from which types, validation in the operator,
// the CRD (crds/generate.ts) and docs/api.md come. Values that are not listed here do not work yet and are refused:
// a promise about disks is either kept or not made.

import { z } from 'zod';
import { durationMs, durationPattern, quantityPattern } from './quantities.ts';
import { withRules } from './rule.ts';

const text = (description: string, lengthMax: number) =>
  z.string().min(1).max(lengthMax).meta({ description });

const duration = (description: string) =>
  z
    .string()
    .max(20)
    .regex(durationPattern, 'must be a duration such as 500ms, 2s or 1m30s')
    .meta({ description: `${description} A duration such as 500ms, 2s or 1m30s.` });

/** The largest user or group ID: 2^32 - 1 is (uid_t) -1, with which the kernel means "no ID". */
const ID_MAX = 4294967294;

const port = (description: string) => z.int().min(1).max(65535).meta({ description });

const dnsLabel = (description: string) =>
  z
    .string()
    .min(1)
    .max(63)
    .regex(
      /^[a-z]([-a-z0-9]*[a-z0-9])?$/,
      'must be a DNS label: lower case letters, digits and -, first a letter, last no -',
    )
    .meta({ description });

const quantity = (description: string) =>
  z
    .string()
    .max(32)
    .regex(quantityPattern, 'must be a quantity such as 500Mi or 100Gi')
    .meta({ description });

/** Everything with a name (or path) is a list that the API server keeps free of duplicates. */
const keyed = <S extends z.ZodType>(
  item: S,
  key: string,
  countMin: number,
  countMax: number,
  description: string,
) =>
  z
    .array(item)
    .min(countMin)
    .max(countMax)
    .superRefine((items, context) => {
      const seen = new Set<unknown>();
      items.forEach((one, index) => {
        const value = (one as Record<string, unknown>)[key];
        if (seen.has(value))
          context.addIssue({
            code: 'custom',
            path: [index, key],
            message: `Duplicate value: ${JSON.stringify(value)}`,
          });
        seen.add(value);
      });
    })
    .meta({ description, 'x-kubernetes-list-type': 'map', 'x-kubernetes-list-map-keys': [key] });

const claim = withRules(
  z.object({
    storageClassName: z
      .string()
      .max(253)
      .optional()
      .meta({ description: 'StorageClass; absent: the default one; "": only existing PersistentVolumes.' }),
    size: quantity('Size to ask for, in bytes or with a suffix, such as 100Gi.'),
    accessMode: z.enum(['ReadWriteMany', 'ReadWriteOnce', 'ReadWriteOncePod']).default('ReadWriteMany').meta({
      description:
        'ReadWriteMany: both servers mount the volume wherever they run (storage.transfer Shared). ReadWriteOnce, ReadWriteOncePod: the volume moves from node to node (storage.transfer Reattach). ReadWriteOnce also with storage.lateWrites SameNode, which keeps both servers on one node.',
    }),
    volumeName: text('Name of the PersistentVolume to bind to.', 253).optional(),
    reclaim: z.enum(['Retain', 'Delete']).default('Retain').meta({
      description:
        'What becomes of the claim when the FilerPair is deleted. Retain: it stays, with the last epoch on its labels. Delete: it is deleted once no server runs any more, and its data with it if its PersistentVolume says so.',
    }),
  }),
  [],
  [
    {
      cel: "self.accessMode == oldSelf.accessMode && (has(self.storageClassName) ? self.storageClassName : '') == (has(oldSelf.storageClassName) ? oldSelf.storageClassName : '') && (has(self.volumeName) ? self.volumeName : '') == (has(oldSelf.volumeName) ? oldSelf.volumeName : '')",
      message: 'storageClassName, accessMode and volumeName of a claim cannot be changed',
    },
    {
      cel: 'quantity(self.size).compareTo(quantity(oldSelf.size)) >= 0',
      message: 'size cannot shrink: Kubernetes cannot make a claim smaller',
    },
  ],
).meta({ description: 'Makes a PersistentVolumeClaim `<pair>-<server>-<volume>`.' });

const volume = withRules(
  z.object({
    name: dnsLabel('Name of the volume, unique in its server. Exports refer to it.'),
    claim: claim.optional(),
    existingClaim: text(
      'Name of a PersistentVolumeClaim in the same namespace to adopt, which has to have the label `filerpair.dev/offered-to` with the name of the FilerPair. It is labelled, and never deleted.',
      253,
    ).optional(),
  }),
  [
    {
      cel: 'has(self.claim) != has(self.existingClaim)',
      message:
        'a volume needs either claim (makes a PersistentVolumeClaim) or existingClaim (adopts one), not both',
      holds: (self) => (self.claim === undefined) !== (self.existingClaim === undefined),
    },
  ],
  [
    {
      cel: 'has(self.existingClaim) == has(oldSelf.existingClaim) && (!has(self.existingClaim) || self.existingClaim == oldSelf.existingClaim)',
      message: 'the claim of a volume cannot be exchanged: it is the data',
    },
  ],
);

const exported = z.object({
  path: z
    .string()
    .max(255)
    .regex(/^(\/|(\/[A-Za-z0-9._~-]+)+)$/, 'must be an absolute path such as /home, without a / at its end')
    .meta({ description: 'Path that clients mount, such as /home.' }),
  volume: dnsLabel('Name of the volume of this server that holds the files.'),
  directory: z
    .string()
    .max(1024)
    .regex(
      /^([^/.][^/]*|\.[^/.][^/]*)(\/([^/.][^/]*|\.[^/.][^/]*))*$/,
      'must be a relative path without . and ..',
    )
    .optional()
    .meta({ description: 'Directory of the volume to export; absent: its root.' }),
  clients: z
    .array(
      z
        .string()
        .max(64)
        .regex(
          /^([0-9]{1,3}(\.[0-9]{1,3}){3}(\/[0-9]{1,2})?|[0-9a-fA-F]*:[0-9a-fA-F:.]*(\/[0-9]{1,3})?)$/,
          'must be an IP address or a range such as 10.20.0.0/24',
        ),
    )
    .min(1)
    .max(64)
    .meta({
      description: 'Addresses and ranges that may mount, such as 10.20.0.0/24.',
      'x-kubernetes-list-type': 'atomic',
    }),
  // Without a default: servers of earlier versions do not know it.
  ports: z.enum(['Reserved', 'Any']).optional().meta({
    description:
      'From which ports calls are taken; absent: `Any`. `Reserved`: below 1024 only, which takes root on the client’s machine; it keeps its other users from claiming to be somebody else.',
  }),
  access: z
    .enum(['ReadWrite', 'ReadOnly'])
    .default('ReadWrite')
    .meta({ description: 'What clients may do.' }),
  squash: z.enum(['None', 'Root', 'All']).default('Root').meta({
    description: 'Whose identity becomes the anonymous one: nobody’s, that of root, or everybody’s.',
  }),
  anonymousUid: z
    .int()
    .min(0)
    .max(ID_MAX)
    .default(65534)
    .meta({ description: 'User ID of squashed clients.', format: 'int64' }),
  anonymousGid: z
    .int()
    .min(0)
    .max(ID_MAX)
    .default(65534)
    .meta({ description: 'Group ID of squashed clients.', format: 'int64' }),
});

const nodePort = (description: string) => z.int().min(1).max(65535).meta({ description });

const nodePorts = z
  .object({
    primary: nodePort('Of the Service `<server>`.').optional(),
    secondary: nodePort('Of the Service `<server><suffix>`, which leads to the partner.').optional(),
  })
  .meta({
    description:
      'Ports of the nodes under which clients find the disk set of this server, with service.type NodePort or LoadBalancer; in the range that the cluster allows (30000 to 32767). Absent: Kubernetes chooses, once. All four of a pair are different.',
  });

const resourceAmounts = (description: string) =>
  z.record(z.string(), quantity('An amount, such as 500m or 1Gi.')).meta({ description });

const placement = z
  .object({
    nodeSelector: z
      .record(z.string(), z.string().max(63))
      .optional()
      .meta({ description: 'Labels that the node must have.' }),
    tolerations: z
      .array(
        z.object({
          key: z.string().max(317).optional(),
          operator: z.enum(['Exists', 'Equal']).optional(),
          value: z.string().max(63).optional(),
          effect: z.enum(['NoSchedule', 'PreferNoSchedule', 'NoExecute']).optional(),
          tolerationSeconds: z.int().optional().meta({ format: 'int64' }),
        }),
      )
      .max(32)
      .optional()
      .meta({ description: 'As in a pod.', 'x-kubernetes-list-type': 'atomic' }),
    resources: z
      .object({
        requests: resourceAmounts('What the server’s container reserves.').optional(),
        limits: resourceAmounts('What it may use at most.').optional(),
      })
      .optional()
      .meta({
        description:
          'Resources of the server’s container. Absent: requests of 500m CPU and 384Mi memory, a limit of 2Gi memory. A server that gets no processor for the length of its lease loses it, so keep a CPU request.',
      }),
    priorityClassName: text('PriorityClass of the pod.', 253).optional(),
  })
  .meta({ description: 'Where and how the server’s pod runs.' });

const server = withRules(
  z.object({
    name: dnsLabel('Name of the server, of its Service, and of its disk set. Cannot be changed.'),
    volumes: keyed(volume, 'name', 1, 16, 'The disk set: it moves as a whole.'),
    exports: keyed(exported, 'path', 0, 64, 'What clients can mount.').default([]),
    nodePorts: nodePorts.optional(),
    placement: placement.optional(),
    certificateSecret: text(
      'Name of a Secret in the same namespace with this server’s certificate for the interconnect, as cert-manager makes them: tls.crt, tls.key and ca.crt, DNS name `<server>-interconnect.<namespace>.svc`, for server and client authentication. The Secret has to have the label `filerpair.dev/offered-to` with the name of the FilerPair. Absent: the operator issues and renews it. Both servers or none.',
      253,
    ).optional(),
  }),
  [
    {
      cel: '!has(self.exports) || self.exports.all(e, self.volumes.exists(v, v.name == e.volume))',
      message: 'every export must name a volume of the same server',
      field: ['exports'],
      holds: (self) => self.exports.every((e) => self.volumes.some((v) => v.name === e.volume)),
    },
  ],
  [
    {
      cel: 'oldSelf.volumes.all(o, self.volumes.exists(v, v.name == o.name))',
      message: 'a volume cannot be removed from a disk set',
    },
  ],
);

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

const LATE_WRITES_NEEDED =
  'lateWrites is needed with transfer Shared. Choose Coherent if the file system keeps the caches of all nodes coherent (CephFS, GFS2, Lustre), SameNode if both servers may share one node, WriteThrough if neither holds (slow writes); or transfer Reattach if the volume can be attached to one node at a time';

const storage = withRules(
  z.object({
    transfer: z.enum(['Shared', 'Reattach']).default('Shared').meta({
      description:
        'How a volume reaches the survivor. Shared: both servers mount it all the time. Reattach: it is mounted on the node of its owner alone and moves with the ownership, by Kubernetes’ attaching and detaching; for ReadWriteOnce volumes. Needs privileged pods and hostPath volumes in the namespace, and has to be granted to it (docs/operator.md).',
    }),
    lateWrites: z.enum(['Coherent', 'SameNode', 'WriteThrough']).optional().meta({
      description:
        'With transfer Shared: why nothing that the old owner’s kernel still holds can reach a volume after a takeover. Coherent: the file system keeps the caches of all nodes coherent (CephFS, GFS2, Lustre). SameNode: both servers share one kernel; the operator then keeps their pods on one node. WriteThrough: the server keeps no dirty page beyond its reply, which makes every write as slow as a synchronous one. Not with Reattach, where detaching the volume is the reason.',
    }),
    attachPatience: duration(
      'With transfer Reattach: how long the new owner waits for its disks before it gives the disk set back to its partner. Only the time counts in which the partner could serve it: while it is away, giving up would help nobody.',
    ).default('60s'),
    lostNodes: z
      .object({
        policy: z.enum(['Wait', 'Confirmed', 'Silent']).default('Wait').meta({
          description:
            'Wait: until the node is back, or somebody marks it as out of service or deletes it. Confirmed: the operator marks it as out of service when its annotation filerpair.dev/powered-off names its boot ID (status.nodeInfo.bootID), which an administrator or a fencing agent sets after switching it off. Silent: the operator marks it when it has not been ready for `after`. A node that still runs then keeps the disk mounted, and only the storage itself keeps it from writing.',
        }),
        after: duration('With Silent: how long the node must have been not ready.').default('60s'),
      })
      .prefault({})
      .meta({
        description:
          'With transfer Reattach: what happens to a node that is not ready and has disks of which another server is the owner by now. Kubernetes does not take them away while the node may still write. The taint node.kubernetes.io/out-of-service lets it; the operator takes it off when the node is back.',
      }),
  }),
  [
    {
      cel: "self.transfer == 'Reattach' || has(self.lateWrites)",
      message: LATE_WRITES_NEEDED,
      field: ['lateWrites'],
      holds: (self) => self.transfer === 'Reattach' || self.lateWrites !== undefined,
    },
    {
      cel: "self.transfer != 'Reattach' || !has(self.lateWrites)",
      message:
        'lateWrites is for transfer Shared; with Reattach nothing lands late because the volume is detached from the old node first: leave it out',
      field: ['lateWrites'],
      holds: (self) => self.transfer !== 'Reattach' || self.lateWrites === undefined,
    },
  ],
  [
    { cel: 'self.transfer == oldSelf.transfer', message: 'transfer cannot be changed' },
    {
      cel: 'has(self.lateWrites) == has(oldSelf.lateWrites) && (!has(self.lateWrites) || self.lateWrites == oldSelf.lateWrites)',
      message:
        'lateWrites cannot be changed: what holds for a volume does not change while servers run; make the FilerPair anew on the same claims',
    },
  ],
).meta({ description: 'What holds for the volumes. Nobody but you can know it, so there is no default.' });

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
        'true: running servers stay as they are when the spec changes, until it is false again. A step that has begun is completed by the servers.',
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

const time = (description: string) =>
  z.string().meta({ description: `${description} RFC 3339.`, format: 'date-time' });

const condition = z.object({
  type: z.string().max(316).meta({
    description: 'Ready, TakeoverPossible, Degraded, Progressing, NamesPublished or ClientAddressesKept.',
  }),
  status: z.enum(['True', 'False', 'Unknown']),
  reason: z.string().max(1024).meta({ description: 'One word for programs; docs/operator.md lists them.' }),
  message: z.string().max(32768).meta({ description: 'A sentence for people: what, why, and what to do.' }),
  lastTransitionTime: time('When status changed last.'),
  observedGeneration: z.int().optional().meta({ format: 'int64' }),
});

const transition = z.object({
  home: z.string().meta({ description: 'The disk set that changed its owner.' }),
  kind: z.string().meta({ description: 'Takeover, Giveback or Start.' }),
  cause: z.string().meta({
    description: 'PartnerSaidSo, Silent, OperatorProof, Restarted, Requested or Unowned.',
  }),
  reason: z.string().optional().meta({
    description: 'In words: what was found; of a forced takeover also what the administrator said.',
  }),
  to: z.string().meta({ description: 'The server that owns the disk set since then.' }),
  epoch: z.int().meta({ description: 'The epoch that began.', format: 'int64' }),
  at: time('When, by the owner’s clock.'),
  took: z.string().meta({ description: 'From the first phase to the end of the last, such as 143ms.' }),
  phases: z
    .array(
      z.object({
        name: z.string(),
        at: z.string().meta({ description: 'Since the first phase began, such as 12ms.' }),
        took: z.string().meta({ description: 'Length of the phase, such as 12ms.' }),
      }),
    )
    .meta({ description: 'In order.', 'x-kubernetes-list-type': 'atomic' }),
});

export const filerPairStatus = z.object({
  observedGeneration: z
    .int()
    .optional()
    .meta({ description: 'metadata.generation that this status is about.', format: 'int64' }),
  conditions: z
    .array(condition)
    .optional()
    .meta({ 'x-kubernetes-list-type': 'map', 'x-kubernetes-list-map-keys': ['type'] }),
  owners: z.string().optional().meta({
    description:
      'Who serves what, in one line for kubectl: `filer-a>filer-b` is a disk set of filer-a that filer-b serves.',
  }),
  servers: z
    .array(
      z.object({
        name: z.string(),
        pod: z.string().optional(),
        node: z.string().optional(),
        incarnation: z
          .string()
          .optional()
          .meta({ description: 'The run of the server process, as far as a Lease names it.' }),
        state: z.string().meta({
          description: 'Missing, Pending, Starting, Running, Restarting, Terminating, NodeLost or Ended.',
        }),
        since: time('Since when.'),
      }),
    )
    .optional()
    .meta({ 'x-kubernetes-list-type': 'map', 'x-kubernetes-list-map-keys': ['name'] }),
  diskSets: z
    .array(
      z.object({
        home: z.string(),
        owner: z.string().optional().meta({ description: 'The server that owns it; absent: nobody.' }),
        holder: z.string().optional().meta({ description: 'The incarnation that owns it.' }),
        epoch: z.int().meta({ format: 'int64' }),
        phase: z.string().meta({
          description: 'NeverOwned, Released, Opening, Serving, OwnerDead, OwnerLost or Unknown.',
        }),
        claims: z.array(z.string()).optional().meta({
          description: 'Claims that were bound once: they are not made anew, empty, when they vanish.',
          'x-kubernetes-list-type': 'atomic',
        }),
        since: time('Since when.'),
      }),
    )
    .optional()
    .meta({ 'x-kubernetes-list-type': 'map', 'x-kubernetes-list-map-keys': ['home'] }),
  lastTransition: transition.optional().meta({ description: 'The latest change of an owner.' }),
  history: z
    .array(transition)
    .max(10)
    .optional()
    .meta({ description: 'The last ten of these, the latest first.', 'x-kubernetes-list-type': 'atomic' }),
  lastRequest: z
    .object({
      id: z.string(),
      kind: z.string(),
      home: z.string(),
      result: z.string().meta({ description: 'Pending, Done or Refused.' }),
      message: z.string(),
      at: time('When the operator saw it.'),
    })
    .optional()
    .meta({ description: 'What an administrator asked for last, and the answer.' }),
  lastSnapshot: z
    .object({
      name: z.string(),
      result: z.string().meta({ description: 'Pending, Done, Failed or Refused.' }),
      message: z.string(),
      at: time('When the operator saw it.'),
    })
    .optional()
    .meta({ description: 'The snapshot that an administrator asked for last, and the answer.' }),
  maintenance: z.string().optional().meta({
    description:
      'Why nothing moves by itself now: the annotation filerpair.dev/maintenance, as the servers know it.',
  }),
  rollout: z
    .object({
      state: z.string().meta({
        description:
          'Queued, TryingImage, TakingOver, Replacing, GivingBack, Retrying, Waiting, Paused or Blocked.',
      }),
      server: z.string().optional().meta({ description: 'The server that it is about.' }),
      message: z.string(),
      begun: z
        .boolean()
        .optional()
        .meta({ description: 'Whether its turn has come: an image is tried, or a server has been touched.' }),
      since: time('Since when it is in this state.'),
    })
    .optional()
    .meta({ description: 'How far a change of the spec has come; absent: both servers run as it wants.' }),
});

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
export type FilerPairStatus = z.output<typeof filerPairStatus>;
export type FilerPairCondition = z.output<typeof condition>;
export type FilerPairTransition = z.output<typeof transition>;

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
