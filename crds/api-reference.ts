// docs/api.md: the reference of the FilerPair resource, read off the schema.

import { customResourceDefinition } from './custom-resource-definition.ts';
import type { Schema } from './structural-schema.ts';

interface Row {
  readonly path: string;
  readonly schema: Schema;
  readonly required: boolean;
}

export function apiReference(): string {
  const root = customResourceDefinition().spec.versions[0]!.schema.openAPIV3Schema;
  const rules: string[] = [];
  const section = (name: 'spec' | 'status'): string => {
    const rows = [...rowsOf(root.properties[name] as Schema, name)];
    for (const { path, schema } of [{ path: name, schema: root.properties[name] as Schema }, ...rows])
      for (const rule of (schema['x-kubernetes-validations'] as
        | { message: string; rule: string }[]
        | undefined) ?? [])
        rules.push(
          `| \`${path}\` | ${rule.message} | ${rule.rule.includes('oldSelf') ? 'on change' : 'always'} |`,
        );
    return ['| field | type | default | meaning |', '| --- | --- | --- | --- |', ...rows.map(rowText)].join(
      '\n',
    );
  };
  const spec = section('spec');
  const status = section('status');
  return `# FilerPair API reference (filerpair.dev/v1alpha1)

Generated from crds/filerpair.ts by \`node crds/generate.ts\`; do not edit.
Examples that are accepted are in crds/examples/valid, examples that are refused, each with its reason, in
crds/examples/invalid. What the operator makes of a FilerPair is described in [operator.md](operator.md).

## spec

${spec}

## Rules

The API server refuses a FilerPair that breaks one of these, and names the field.

| field | rule | checked |
| --- | --- | --- |
${rules.join('\n')}

## status

${status}
`;
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
