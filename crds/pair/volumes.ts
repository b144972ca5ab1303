/** The volumes of a disk set: claims that the operator makes from a template, or that it adopts. */

import { isDeepStrictEqual } from 'node:util';
import { z } from 'zod';
import { dnsLabel, keyed, objectMetadata, objectName, reference, storageSize, stringMap } from '../fields.ts';
import { amountOf } from '../quantities.ts';
import { withRules } from '../rule.ts';

const typedReference = (description: string) =>
  z
    .object({
      apiGroup: z
        .string()
        .max(253)
        .optional()
        .meta({ description: 'Group of the kind; absent: the core group.' }),
      kind: z.string().min(1).max(63),
      name: objectName('Name of the object.'),
    })
    .meta({ description });

const claimTemplate = withRules(
  z.object({
    metadata: objectMetadata('Labels and annotations of the claim.').optional(),
    spec: z.object({
      storageClassName: z
        .string()
        .max(253)
        .optional()
        .meta({ description: 'StorageClass; absent: the default one; "": only existing PersistentVolumes.' }),
      accessModes: z
        .array(z.enum(['ReadWriteMany', 'ReadWriteOnce', 'ReadWriteOncePod']))
        .min(1)
        .max(1)
        .optional()
        .meta({
          description:
            'Absent: what storage.type needs, ReadWriteOnce with Reattach and SameNode, else ReadWriteMany.',
          'x-kubernetes-list-type': 'atomic',
        }),
      resources: z.object({
        requests: z.object({
          storage: storageSize('Size to ask for, in bytes or with a suffix, such as 100Gi.'),
        }),
      }),
      selector: z
        .object({ matchLabels: stringMap('Labels that the PersistentVolume must have.', 16, 63) })
        .optional()
        .meta({ description: 'Which PersistentVolumes it may bind to.' }),
      volumeName: objectName('PersistentVolume to bind to.').optional(),
      volumeAttributesClassName: objectName('VolumeAttributesClass.').optional(),
      dataSourceRef: typedReference('What the volume is filled from, such as a VolumeSnapshot.').optional(),
    }),
  }),
  [],
  [
    {
      cel: 'has(self.spec.storageClassName) == has(oldSelf.spec.storageClassName) && (!has(self.spec.storageClassName) || self.spec.storageClassName == oldSelf.spec.storageClassName) && has(self.spec.accessModes) == has(oldSelf.spec.accessModes) && (!has(self.spec.accessModes) || self.spec.accessModes == oldSelf.spec.accessModes) && has(self.spec.volumeName) == has(oldSelf.spec.volumeName) && (!has(self.spec.volumeName) || self.spec.volumeName == oldSelf.spec.volumeName)',
      message: 'storageClassName, accessModes and volumeName of a claim cannot be changed',
      holds: (self, before) =>
        ['storageClassName', 'accessModes', 'volumeName'].every((key) =>
          isDeepStrictEqual(
            (self.spec as Record<string, unknown>)[key],
            (before.spec as Record<string, unknown>)[key],
          ),
        ),
    },
    {
      cel: 'quantity(self.spec.resources.requests.storage).compareTo(quantity(oldSelf.spec.resources.requests.storage)) >= 0',
      message: 'storage cannot shrink: Kubernetes cannot make a claim smaller',
      holds: (self, before) =>
        amountOf(self.spec.resources.requests.storage) >= amountOf(before.spec.resources.requests.storage),
    },
  ],
).meta({
  description:
    'Makes a PersistentVolumeClaim `<pair>.<server>.<volume>` for each server. The members have the names and the meaning of a PersistentVolumeClaim.',
});

const whenDeleted = z.enum(['Retain', 'Delete']).optional().meta({
  description:
    'What becomes of the claims when the FilerPair is deleted; absent: Retain. Retain: they stay, with the last epoch on their labels. Delete: they are deleted once no server runs any more, and their data with them if the PersistentVolumes say so.',
});

const volumeName = dnsLabel('Name of the volume, unique in its disk set. Shares refer to it.', 30);

/** Volumes of both servers. */
export const volumes = withRules(
  keyed(
    z.object({ name: volumeName, claimTemplate, whenDeleted }),
    'name',
    0,
    16,
    'The volumes of each of the two disk sets. A disk set moves as a whole.',
  ),
  [],
  [
    {
      cel: 'oldSelf.all(o, self.exists(v, v.name == o.name))',
      message: 'a volume cannot be removed from a disk set',
      holds: (self, before) => before.every((old) => self.some(({ name }) => name === old.name)),
    },
  ],
);

const serverVolume = withRules(
  z.object({
    name: volumeName,
    claimTemplate: claimTemplate.optional(),
    claimRef: reference(
      'PersistentVolumeClaim of the same namespace to adopt, which must have the label `filerpair.dev/offered-to` with the name of the FilerPair. It is labelled, and never deleted.',
    ).optional(),
    whenDeleted,
  }),
  [
    {
      cel: 'has(self.claimTemplate) != has(self.claimRef)',
      message:
        'a volume of a server needs either claimTemplate (makes a PersistentVolumeClaim) or claimRef (adopts one), not both',
      holds: (self) => (self.claimTemplate === undefined) !== (self.claimRef === undefined),
    },
    {
      cel: '!has(self.whenDeleted) || !has(self.claimRef)',
      message: 'whenDeleted is for claims that the pair makes: one that it adopts is never deleted',
      field: ['whenDeleted'],
      holds: (self) => self.whenDeleted === undefined || self.claimRef === undefined,
    },
  ],
  [
    {
      cel: 'has(self.claimRef) == has(oldSelf.claimRef) && (!has(self.claimRef) || self.claimRef.name == oldSelf.claimRef.name)',
      message: 'the claim of a volume cannot be exchanged: it is the data',
      holds: (self, before) => self.claimRef?.name === before.claimRef?.name,
    },
  ],
);

/** Volumes of one server: they replace those of the pair with the same names, or are added. */
export const serverVolumes = withRules(
  keyed(
    serverVolume,
    'name',
    0,
    16,
    'Volumes of this disk set: instead of those in spec.volumes with the same names, or besides.',
  ),
  [],
  [
    {
      cel: 'oldSelf.all(o, self.exists(v, v.name == o.name))',
      message: 'a volume cannot be removed from a disk set',
      holds: (self, before) => before.every((old) => self.some(({ name }) => name === old.name)),
    },
  ],
);
