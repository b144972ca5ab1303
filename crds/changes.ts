/** The rules about changes, for those who have both states: what the API server checks with `oldSelf`. */

import { z } from 'zod';
import { changeRulesOf } from './rule.ts';

/** One sentence for each rule that the change breaks, with the field, as the API server says it. Both have the schema's shape. */
export function refusedChanges(schema: z.ZodType, before: unknown, after: unknown, path = ''): string[] {
  if (before === undefined || after === undefined) return [];
  const broken = changeRulesOf(schema)
    .filter(({ holds }) => !holds(after as never, before as never))
    .map(({ message }) => `${path}: ${message}`);
  return [...broken, ...insideOf(schema, before, after, path)];
}

function insideOf(schema: z.ZodType, before: unknown, after: unknown, path: string): string[] {
  if (schema instanceof z.ZodOptional || schema instanceof z.ZodDefault || schema instanceof z.ZodPrefault)
    return refusedChanges(schema.unwrap() as z.ZodType, before, after, path);
  if (schema instanceof z.ZodObject)
    return Object.entries(schema.shape as Record<string, z.ZodType>).flatMap(([name, member]) =>
      refusedChanges(
        member,
        (before as Record<string, unknown>)[name],
        (after as Record<string, unknown>)[name],
        path === '' ? name : `${path}.${name}`,
      ),
    );
  const keys = schema.meta()?.['x-kubernetes-list-map-keys'] as readonly string[] | undefined;
  if (!(schema instanceof z.ZodArray) || keys === undefined) return [];
  // The API server correlates items of a map by their keys; those of other lists have no state before.
  const items = before as readonly Record<string, unknown>[];
  return (after as readonly Record<string, unknown>[]).flatMap((item, index) =>
    refusedChanges(
      schema.element as z.ZodType,
      items.find((old) => keys.every((key) => old[key] === item[key])),
      item,
      `${path}[${index}]`,
    ),
  );
}
