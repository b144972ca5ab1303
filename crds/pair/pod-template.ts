/** What a FilerPair says about the pods of its servers: the part of PodTemplateSpec that is the user's. */

import { z } from 'zod';
import { keyed, objectMetadata, objectName, resourceAmount, stringMap, text } from '../fields.ts';

const amounts = (description: string) =>
  z
    .record(z.string(), resourceAmount)
    .refine((map) => Object.keys(map).length <= 16, 'must have at most 16 entries')
    .meta({ description, maxProperties: 16 });

const toleration = z.object({
  key: z.string().max(317).optional(),
  operator: z.enum(['Exists', 'Equal']).optional(),
  value: z.string().max(63).optional(),
  effect: z.enum(['NoSchedule', 'PreferNoSchedule', 'NoExecute']).optional(),
  tolerationSeconds: z.int().optional().meta({ format: 'int64' }),
});

const selectorRequirement = z.object({
  key: z.string().min(1).max(317),
  operator: z.enum(['In', 'NotIn', 'Exists', 'DoesNotExist', 'Gt', 'Lt']),
  values: z.array(z.string().max(63)).max(32).optional().meta({ 'x-kubernetes-list-type': 'atomic' }),
});

const requirements = (description: string) =>
  z.array(selectorRequirement).max(16).optional().meta({ description, 'x-kubernetes-list-type': 'atomic' });

const nodeSelectorTerm = z.object({
  matchExpressions: requirements('On labels of the node.'),
  matchFields: requirements('On fields of the node.'),
});

const nodeAffinity = z
  .object({
    requiredDuringSchedulingIgnoredDuringExecution: z
      .object({
        nodeSelectorTerms: z
          .array(nodeSelectorTerm)
          .min(1)
          .max(16)
          .meta({ description: 'One of them must hold.', 'x-kubernetes-list-type': 'atomic' }),
      })
      .optional(),
    preferredDuringSchedulingIgnoredDuringExecution: z
      .array(z.object({ weight: z.int().min(1).max(100), preference: nodeSelectorTerm }))
      .max(16)
      .optional()
      .meta({ 'x-kubernetes-list-type': 'atomic' }),
  })
  .meta({
    description:
      'As in a pod. Where the volumes can be attached, and the distance of the two servers (antiAffinity), the operator adds itself.',
  });

export const podTemplate = z.object({
  metadata: objectMetadata('Labels and annotations of the pods.').optional(),
  spec: z
    .object({
      nodeSelector: stringMap('Labels that the node must have.', 32, 63).optional(),
      tolerations: z
        .array(toleration)
        .max(32)
        .optional()
        .meta({ description: 'As in a pod.', 'x-kubernetes-list-type': 'atomic' }),
      affinity: z.object({ nodeAffinity: nodeAffinity.optional() }).optional(),
      priorityClassName: text('PriorityClass of the pods.', 253).optional(),
      runtimeClassName: objectName('RuntimeClass of the pods.').optional(),
      schedulerName: text('Scheduler of the pods.', 253).optional(),
      imagePullSecrets: keyed(
        z.object({ name: objectName('Name of a Secret of the same namespace.') }),
        'name',
        0,
        16,
        'Secrets with which the images are pulled.',
      ).optional(),
      containers: keyed(
        z.object({
          name: z.enum(['server', 'sentinel']).meta({ description: 'Which container.' }),
          resources: z
            .object({
              requests: amounts('What the container reserves.').optional(),
              limits: amounts('What it may use at most.').optional(),
            })
            .optional()
            .meta({
              description:
                'Absent: of the server requests of 500m CPU and 384Mi memory, a limit of 2Gi memory. A server that gets no processor for the length of its lease loses it, so keep a CPU request.',
            }),
        }),
        'name',
        0,
        2,
        'The containers of the pods.',
      ).optional(),
    })
    .optional()
    .meta({ description: 'The part of a pod’s spec that is yours.' }),
});

export type PodTemplate = z.output<typeof podTemplate>;
