/**
 * From zod to what a CustomResourceDefinition accepts: OpenAPI v3 as a structural schema. No $ref, no additionalProperties
 * beside properties, no anyOf; integers with their format, patterns as they are.
 */

import { z } from 'zod';

export interface Schema {
  [member: string]: unknown;
  type?: string;
  description?: string;
  properties?: Record<string, Schema>;
  items?: Schema;
  additionalProperties?: Schema;
}

const kept = new Set([
  'type',
  'description',
  'properties',
  'required',
  'items',
  'enum',
  'default',
  'pattern',
  'format',
  'minLength',
  'maxLength',
  'minimum',
  'maximum',
  'minItems',
  'maxItems',
  'maxProperties',
  'additionalProperties',
]);

export function structuralSchema(schema: z.ZodType): Schema {
  const json = z.toJSONSchema(schema, {
    io: 'input',
    target: 'openapi-3.0',
    reused: 'inline',
    unrepresentable: 'throw',
  });
  return convert(json as Schema, 'schema');
}

function convert(node: Schema, path: string): Schema {
  if (node['x-kubernetes-int-or-string'] === true) return intOrString(node);
  if (
    node.$ref !== undefined ||
    node.anyOf !== undefined ||
    node.oneOf !== undefined ||
    node.allOf !== undefined
  )
    throw new Error(`${path}: $ref, anyOf, oneOf and allOf have no place in a structural schema`);
  if (node.type === undefined) throw new Error(`${path}: no type`);
  const result: Schema = {};
  for (const [member, value] of Object.entries(node))
    if ((kept.has(member) || member.startsWith('x-kubernetes-')) && value !== undefined)
      result[member] = value;
  if (node.properties) {
    result.properties = Object.fromEntries(
      Object.entries(node.properties).map(([name, child]) => [name, convert(child, `${path}.${name}`)]),
    );
    // The API server prunes what is not named here; saying false beside properties is not allowed.
    delete result.additionalProperties;
  } else if (node.additionalProperties && Object.keys(node.additionalProperties).length > 0) {
    result.additionalProperties = convert(node.additionalProperties, `${path}.*`);
  } else if (node.type === 'object') {
    delete result.additionalProperties;
    result['x-kubernetes-preserve-unknown-fields'] = true;
  }
  // The API server checks rules against a default as it stands, before it fills in the defaults of its members.
  if (isEmptyObject(result.default)) result.default = defaultsOf(result);
  if (node.items) result.items = convert(node.items, `${path}[]`);
  // JavaScript's safe integers are zod's silent limits, not ours.
  if (node.type === 'integer') {
    if (node.maximum === Number.MAX_SAFE_INTEGER) delete result.maximum;
    if (node.minimum === Number.MIN_SAFE_INTEGER) delete result.minimum;
    if (result.format === undefined) result.format = 'int32';
  }
  return result;
}

/** As the API server wants it: no type, and the pattern of what is text. */
function intOrString(node: Schema): Schema {
  const { pattern } = (node['anyOf'] as readonly Schema[]).find(({ type }) => type === 'string')!;
  return {
    description: node.description!,
    anyOf: [{ type: 'integer' }, { type: 'string' }],
    pattern,
    'x-kubernetes-int-or-string': true,
  };
}

const isEmptyObject = (value: unknown): boolean =>
  typeof value === 'object' && value !== null && !Array.isArray(value) && Object.keys(value).length === 0;

const defaultsOf = (schema: Schema): Record<string, unknown> =>
  Object.fromEntries(
    Object.entries(schema.properties ?? {})
      .filter(([, child]) => child.default !== undefined)
      .map(([name, child]) => [name, child.default]),
  );
