// One server of a FilerPair: its disk set, what it exports, and where it runs.

import { z } from 'zod';
import { dnsLabel, ID_MAX, keyed, quantity, text } from './fields.ts';
import { withRules } from './rule.ts';

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
      'From which ports calls are taken; absent: `Any`. `Reserved`: below 1024 only, which only root of the client’s machine can use: its other users cannot pose as another user.',
  }),
  access: z
    .enum(['ReadWrite', 'ReadOnly'])
    .default('ReadWrite')
    .meta({ description: 'What clients may do.' }),
  squash: z.enum(['None', 'Root', 'All']).default('Root').meta({
    description: 'Whose identity becomes the anonymous one: none, that of root, or every user’s.',
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

export const server = withRules(
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
