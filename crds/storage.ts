// spec.storage of a FilerPair: how a volume reaches the survivor, and why nothing lands late there (rule R9).

import { z } from 'zod';
import { duration } from './fields.ts';
import { withRules } from './rule.ts';

const LATE_WRITES_NEEDED =
  'lateWrites is needed with transfer Shared. Choose Coherent if the file system keeps the caches of all nodes coherent (CephFS, GFS2, Lustre), SameNode if both servers may share one node, WriteThrough if neither holds (slow writes); or transfer Reattach if the volume can be attached to one node at a time';

export const storage = withRules(
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
      'With transfer Reattach: how long the new owner waits for its disks before it gives the disk set back to its partner. Only the time counts in which the partner could serve it: while it is away, giving up would not help.',
    ).default('60s'),
    lostNodes: z
      .object({
        policy: z.enum(['Wait', 'Confirmed', 'Silent']).default('Wait').meta({
          description:
            'Wait: until the node is back, or an administrator marks it as out of service or deletes it. Confirmed: the operator marks it as out of service when its annotation filerpair.dev/powered-off names its boot ID (status.nodeInfo.bootID), which an administrator or a fencing agent sets after switching it off. Silent: the operator marks it when it has not been ready for `after`. A node that still runs then keeps the disk mounted, and only the storage itself keeps it from writing.',
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
