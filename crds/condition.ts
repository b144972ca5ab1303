/** metav1.Condition, as its Go type has it, and the closed lists of types and reasons of every kind. */

import { z } from 'zod';
import { time } from './fields.ts';

export const condition = z.object({
  type: z
    .string()
    .min(1)
    .max(316)
    .regex(
      /^([a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*\/)?(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])$/,
      'must be the type of a condition',
    )
    .meta({ description: 'Type of the condition.' }),
  status: z.enum(['True', 'False', 'Unknown']),
  observedGeneration: z
    .int()
    .min(0)
    .optional()
    .meta({ description: 'metadata.generation that it is about.', format: 'int64' }),
  lastTransitionTime: time('When status changed last.'),
  reason: z
    .string()
    .min(1)
    .max(1024)
    .regex(/^[A-Za-z]([A-Za-z0-9_,:]*[A-Za-z0-9_])?$/, 'must be a reason')
    .meta({ description: 'One word for programs.' }),
  message: z.string().max(32768).meta({ description: 'What is the case, why, and what to do.' }),
});

export type Condition = z.output<typeof condition>;

export const conditions = (
  description: string,
  defaults: readonly Omit<Condition, 'observedGeneration'>[] = [],
) => {
  const list = z.array(condition).max(16);
  return (defaults.length === 0 ? list.optional() : list.default([...defaults])).meta({
    description,
    'x-kubernetes-list-type': 'map',
    'x-kubernetes-list-map-keys': ['type'],
  });
};

/** Until the controller has seen the object; so kstatus, Flux and Argo CD wait for it. */
export const pending = (type: string): Omit<Condition, 'observedGeneration'> => ({
  type,
  status: 'Unknown',
  reason: 'Pending',
  message: 'Waiting for the operator.',
  lastTransitionTime: '1970-01-01T00:00:00Z',
});
