/** docs/api.md: the reference of all kinds, read off their schemas. */

import { customResourceDefinition } from './custom-resource-definition.ts';
import { operationReasons } from './filer-pair-operation.ts';
import { apiVersion } from './group.ts';
import { type Kind, kinds } from './kinds.ts';
import { diskSetReasons, pairReasons, serverReasons } from './pair/reasons.ts';
import { shareReasonMeanings } from './share-reasons.ts';
import type { Schema } from './structural-schema.ts';

interface Row {
  readonly path: string;
  readonly schema: Schema;
  readonly required: boolean;
}

export function apiReference(): string {
  return `# API reference (${apiVersion})

Generated from crds/ by \`node crds/generate.ts\`; do not edit. Why each kind exists: [api-design.md](api-design.md).
Examples: crds/examples. What the operator makes of these objects: [operator.md](operator.md).

${kinds.map((one) => `- [${one.kind}](#${one.kind.toLowerCase()}): ${one.description}`).join('\n')}

${kinds.map(section).join('\n')}`;
}

/** Closed lists, by kind and by where the conditions are. */
const reasons: Readonly<Record<string, Readonly<Record<string, typeof pairReasons>>>> = {
  FilerPair: {
    'status.conditions': pairReasons,
    'status.servers[].conditions': serverReasons,
    'status.diskSets[].conditions': diskSetReasons,
  },
  FilerShare: { 'status.conditions': shareReasonMeanings },
  FilerPairOperation: {
    'status.conditions': {
      'Complete, Failed: both False': operationReasons.waiting,
      Complete: operationReasons.complete,
      Failed: operationReasons.failed,
    },
  },
  FilerDiskSet: { 'status.conditions': diskSetReasons },
};

const reasonTables = (kind: string, where: string, types: typeof pairReasons): string[] => [
  `### ${kind} reasons in ${where}\n`,
  '| condition | reason | meaning |',
  '| --- | --- | --- |',
  ...Object.entries(types).flatMap(([type, meanings]) =>
    Object.entries(meanings).map(([reason, meaning]) => `| ${type} | \`${reason}\` | ${meaning} |`),
  ),
  '',
];

function section(kind: Kind): string {
  const root = customResourceDefinition(kind).spec.versions[0]!.schema.openAPIV3Schema;
  const tables = (['spec', 'status'] as const).flatMap((name) => {
    const schema = root.properties[name] as Schema | undefined;
    if (schema === undefined) return [];
    const rows = [...rowsOf(schema, name)].map(rowText);
    return [
      `### ${kind.kind} ${name}\n`,
      '| field | type | default | meaning |',
      '| --- | --- | --- | --- |',
      ...rows,
      '',
    ];
  });
  const rules = [...rulesOf(root as Schema, '')];
  return [
    `## ${kind.kind}\n`,
    `${kind.description} ${kind.scope === 'Cluster' ? 'Of the whole cluster.' : ''}\n`,
    ...tables,
    ...Object.entries(reasons[kind.kind] ?? {}).flatMap(([where, types]) =>
      reasonTables(kind.kind, where, types),
    ),
    ...(rules.length === 0
      ? []
      : [
          `### ${kind.kind} rules\n`,
          'The API server refuses an object that breaks one of these, and names the field.\n',
          '| field | rule | checked |',
          '| --- | --- | --- |',
          ...rules,
          '',
        ]),
  ].join('\n');
}

function* rulesOf(schema: Schema, path: string): Generator<string> {
  const rules = (schema['x-kubernetes-validations'] ?? []) as readonly { message: string; rule: string }[];
  for (const { message, rule } of rules)
    yield `| \`${path === '' ? '.' : path}\` | ${message} | ${rule.includes('oldSelf') ? 'on change' : 'always'} |`;
  for (const [name, child] of Object.entries(schema.properties ?? {}))
    yield* rulesOf(child, path === '' ? name : `${path}.${name}`);
  if (schema.items) yield* rulesOf(schema.items, `${path}[]`);
}

function* rowsOf(schema: Schema, path: string): Generator<Row> {
  for (const [name, child] of Object.entries(schema.properties ?? {})) {
    const required = ((schema.required as string[] | undefined) ?? []).includes(name);
    const at = `${path}.${name}`;
    yield { path: at, schema: child, required };
    yield* rowsOf(child, at);
    if (child.items) yield* rowsOf(child.items, `${at}[]`);
  }
}

function rowText({ path, schema, required }: Row): string {
  const fallback =
    schema.default === undefined
      ? required
        ? '(required)'
        : ''
      : typeof schema.default === 'object'
        ? ''
        : `\`${String(schema.default)}\``;
  return `| \`${path}\` | ${typeText(schema)} | ${fallback} | ${(schema.description ?? '').replaceAll('|', '\\|')} |`;
}

function typeText(schema: Schema): string {
  if (Array.isArray(schema.enum)) return schema.enum.map((value) => `\`${value}\``).join(', ');
  if (schema.type === 'array') {
    const bounds = [schema.minItems, schema.maxItems].filter((bound) => bound !== undefined).join(' to ');
    return `list of ${schema.items ? typeText(schema.items) : 'values'}${bounds ? ` (${bounds})` : ''}`;
  }
  if (schema.additionalProperties) return 'map';
  if (schema.type === 'integer' && schema.minimum !== undefined && schema.maximum !== undefined)
    return `integer (${schema.minimum} to ${schema.maximum})`;
  return schema.type ?? '';
}
