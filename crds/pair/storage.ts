/** How the volumes of a pair reach the survivor, and why nothing that the failed server's node still holds lands late. */

import { z } from 'zod';
import { duration } from '../fields.ts';
import { durationMs } from '../quantities.ts';
import { withRules } from '../rule.ts';

export const storageTypes = ['Reattach', 'SharedCoherent', 'SharedWriteThrough', 'SameNode'] as const;
export type StorageType = (typeof storageTypes)[number];

export const storageType = z.enum(storageTypes).meta({
  description:
    'Reattach: a volume is mounted on the node of its owner alone and moves with the ownership, by Kubernetes’ attaching and detaching; for ReadWriteOnce volumes. Needs privileged pods and hostPath volumes in the namespace. SharedCoherent: both servers mount it, and the file system keeps the caches of all nodes coherent (CephFS, GFS2, Lustre). SharedWriteThrough: both servers mount it, and a server keeps no dirty page beyond its reply, which makes every write as slow as a synchronous one. SameNode: both servers run on one node and share its kernel.',
});

export const lostNodesPolicies = ['Wait', 'Confirmed', 'AfterTimeout'] as const;

const lostNodes = withRules(
  z.object({
    policy: z.enum(lostNodesPolicies).meta({
      description:
        'Wait: until the node is back, or an administrator marks it as out of service or deletes it. Confirmed: the operator marks it as out of service when its annotation filerpair.dev/powered-off names its boot ID (status.nodeInfo.bootID), which an administrator or a fencing agent sets after switching it off. AfterTimeout: the operator marks it when it has not been ready for `timeout`. A node that still runs then keeps the disk mounted, and only the storage itself keeps it from writing.',
    }),
    timeout: duration('With AfterTimeout: how long the node must have been not ready.').optional(),
  }),
  [
    {
      cel: "(self.policy == 'AfterTimeout') == has(self.timeout)",
      message: 'timeout belongs to the policy AfterTimeout, which needs it',
      field: ['timeout'],
      holds: (self) => (self.policy === 'AfterTimeout') === (self.timeout !== undefined),
    },
    {
      cel: "!has(self.timeout) || duration(self.timeout) >= duration('10s')",
      message: 'timeout must be at least 10s: a kubelet that restarts is not a lost node',
      field: ['timeout'],
      holds: (self) => self.timeout === undefined || durationMs(self.timeout) >= 10_000,
    },
  ],
).meta({
  description:
    'What happens to a node that is not ready and has disks of which another server is the owner by now. Kubernetes does not take them away while the node may still write. The taint node.kubernetes.io/out-of-service lets it; the operator removes the taint when the node is back. Absent: Wait.',
});

const reattach = withRules(
  z.object({
    attachTimeout: duration(
      'How long the new owner waits for its disks before it gives the disk set back to its partner; absent: 60s. Only the time counts in which the partner could serve it.',
    ).optional(),
    lostNodes: lostNodes.optional(),
  }),
  [
    {
      cel: "!has(self.attachTimeout) || duration(self.attachTimeout) >= duration('1s')",
      message: 'attachTimeout must be at least 1s',
      field: ['attachTimeout'],
      holds: (self) => self.attachTimeout === undefined || durationMs(self.attachTimeout) >= 1000,
    },
  ],
).meta({ description: 'With type Reattach.' });

export const storage = withRules(
  z.object({ type: storageType, reattach: reattach.optional() }),
  [
    {
      cel: "self.type == 'Reattach' || !has(self.reattach)",
      message: 'reattach belongs to the type Reattach',
      field: ['reattach'],
      holds: (self) => self.type === 'Reattach' || self.reattach === undefined,
    },
  ],
  [
    {
      cel: 'self.type == oldSelf.type',
      message:
        'type cannot be changed: what holds for a volume does not change while servers run; create the FilerPair anew on the same claims',
      holds: (self, before) => self.type === before.type,
    },
  ],
).meta({
  description:
    'What holds for the volumes. Absent: what the FilerPairClass says of their StorageClass. One of the two must say it: nobody else can know.',
});
