// Kinds of fields that the resources share: texts, durations, names, quantities, and lists with keys.

import { z } from 'zod';
import { durationPattern, quantityPattern } from './quantities.ts';

export const text = (description: string, lengthMax: number) =>
  z.string().min(1).max(lengthMax).meta({ description });

export const duration = (description: string) =>
  z
    .string()
    .max(20)
    .regex(durationPattern, 'must be a duration such as 500ms, 2s or 1m30s')
    .meta({ description: `${description} A duration such as 500ms, 2s or 1m30s.` });

/** The largest user or group ID: 2^32 - 1 is (uid_t) -1, with which the kernel means "no ID". */
export const ID_MAX = 4294967294;

export const port = (description: string) => z.int().min(1).max(65535).meta({ description });

export const dnsLabel = (description: string) =>
  z
    .string()
    .min(1)
    .max(63)
    .regex(
      /^[a-z]([-a-z0-9]*[a-z0-9])?$/,
      'must be a DNS label: lower case letters, digits and -, first a letter, last no -',
    )
    .meta({ description });

export const quantity = (description: string) =>
  z
    .string()
    .max(32)
    .regex(quantityPattern, 'must be a quantity such as 500Mi or 100Gi')
    .meta({ description });

/** Everything with a name (or path) is a list that the API server keeps free of duplicates. */
export const keyed = <S extends z.ZodType>(
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
