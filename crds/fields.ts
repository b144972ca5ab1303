/** Kinds of fields that several resources have. Descriptions become the CRDs' and docs/api.md's. */

import { isIP } from 'node:net';
import { z } from 'zod';
import { durationPattern, quantityPattern, storageSizePattern } from './quantities.ts';
import { withRules } from './rule.ts';

export const text = (description: string, lengthMax: number) =>
  z.string().min(1).max(lengthMax).meta({ description });

/** GEP-2257, as in the Gateway API. */
export const duration = (description: string) =>
  z
    .string()
    .max(24)
    .regex(durationPattern, 'must be a duration such as 500ms, 2s or 1m30s')
    .meta({ description: `${description} A duration such as 500ms, 2s or 1m30s (GEP-2257).` });

/** The largest user or group ID: 2^32 - 1 is (uid_t) -1, which the kernel takes for "no ID". */
export const ID_MAX = 4294967294;

export const port = (description: string) => z.int().min(1).max(65535).meta({ description });

export const dnsLabel = (description: string, lengthMax = 63) =>
  z
    .string()
    .min(1)
    .max(lengthMax)
    .regex(
      /^[a-z]([-a-z0-9]*[a-z0-9])?$/,
      'must be a DNS label: lower case letters, digits and -, first a letter, last no -',
    )
    .meta({ description });

/** Name of an object whose kind allows dots (RFC 1123 subdomain). */
export const objectName = (description: string) =>
  z
    .string()
    .min(1)
    .max(253)
    .regex(
      /^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$/,
      'must be the name of an object: lower case letters, digits, - and .',
    )
    .meta({ description });

/** Reference to an object of the same namespace. */
export const reference = (description: string) =>
  z.object({ name: objectName('Name of the object.') }).meta({ description });

/** Bytes of storage; more than none. */
export const storageSize = (description: string) =>
  z
    .string()
    .max(32)
    .regex(storageSizePattern, 'must be a size in bytes or with a suffix, such as 500Mi or 100Gi, above 0')
    .meta({ description });

/** An amount of a resource as pods have it: `cpu: 2` and `cpu: 500m` are both allowed there. */
export const resourceAmount = z
  .union([
    z.int().min(0),
    z.string().max(32).regex(quantityPattern, 'must be a quantity such as 500m, 2 or 1Gi'),
  ])
  .meta({
    description: 'A quantity, such as 500m, 2 or 1Gi.',
    'x-kubernetes-int-or-string': true,
  });

export const stringMap = (description: string, entriesMax: number, valueLengthMax: number) =>
  z
    .record(z.string(), z.string().max(valueLengthMax))
    .refine((map) => Object.keys(map).length <= entriesMax, `must have at most ${entriesMax} entries`)
    .meta({ description, maxProperties: entriesMax });

/** What we put on objects of the user's choosing. Our own prefix is ours. */
export const OWN_PREFIX = 'filerpair.dev/';

export const objectMetadata = (description: string) =>
  withRules(
    z.object({
      labels: stringMap('Labels to add.', 32, 63).optional(),
      annotations: stringMap('Annotations to add.', 32, 4096).optional(),
    }),
    [
      {
        cel: `(!has(self.labels) || !self.labels.exists(k, k.startsWith('${OWN_PREFIX}'))) && (!has(self.annotations) || !self.annotations.exists(k, k.startsWith('${OWN_PREFIX}')))`,
        message: `labels and annotations that begin with ${OWN_PREFIX} are the operator's own`,
        holds: ({ labels = {}, annotations = {} }) =>
          ![...Object.keys(labels), ...Object.keys(annotations)].some((key) => key.startsWith(OWN_PREFIX)),
      },
    ],
  ).meta({ description });

/** Everything with a name (or path) is a list that the API server keeps free of duplicates. Its order means nothing. */
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

/** A list of single values, which several writers may each add to (server-side apply). */
export const set = <S extends z.ZodType>(item: S, countMin: number, countMax: number, description: string) =>
  z
    .array(item)
    .min(countMin)
    .max(countMax)
    .superRefine((items, context) => {
      items.forEach((value, index) => {
        if (items.indexOf(value) < index)
          context.addIssue({
            code: 'custom',
            path: [index],
            message: `Duplicate value: ${JSON.stringify(value)}`,
          });
      });
    })
    .meta({ description, 'x-kubernetes-list-type': 'set' });

/** As CEL's isIP() and isCIDR() see it: no zone, no IPv4 address inside an IPv6 one, no leading zeros. */
export function isAddressOrRange(value: string): boolean {
  const [address = '', bits, ...more] = value.split('/');
  const version = isIP(address);
  if (version === 0 || more.length > 0 || address.includes('%') || isMappedV4(address)) return false;
  if (bits === undefined) return true;
  return /^(0|[1-9][0-9]{0,2})$/.test(bits) && Number(bits) <= (version === 4 ? 32 : 128);
}

/** ::ffff:0:0/96, however it is written. */
function isMappedV4(address: string): boolean {
  if (!address.includes(':')) return false;
  const { hostname } = new URL(`http://[${address}]/`);
  return hostname.startsWith('[::ffff:') && hostname.split(':').length === 5;
}

/** time in a status. */
export const time = (description: string) =>
  z.string().meta({ description: `${description} RFC 3339.`, format: 'date-time' });
