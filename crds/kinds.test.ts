import { readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { parse } from 'yaml';
import { refusedChanges as brokenByChange } from './changes.ts';
import { customResourceDefinition } from './custom-resource-definition.ts';
import { explain } from './explain.ts';
import { outOfSync } from './generate.ts';
import { BUNDLE_VERSION } from './group.ts';
import { kinds } from './kinds.ts';
import { type Schema, structuralSchema } from './structural-schema.ts';
import { example, examples, refusedChanges, refusedObjects } from './testing/examples.ts';

const messageOf = (object: { readonly kind: string }): string => {
  const { schema } = kinds.find(({ kind }) => kind === object.kind)!;
  const parsed = schema.safeParse(object);
  return parsed.error ? explain(parsed.error, '') : 'accepted';
};

test('what is generated from the schemas is in sync with them (node crds/generate.ts)', () => {
  expect(outOfSync()).toEqual([]);
});

test('the definitions have the version of the package and of the chart', () => {
  const read = (path: string): string => readFileSync(new URL(`../${path}`, import.meta.url), 'utf8');
  expect(JSON.parse(read('package.json'))).toMatchObject({ version: BUNDLE_VERSION });
  expect(parse(read('helm/filerpair/Chart.yaml'))).toMatchObject({
    version: BUNDLE_VERSION,
    appVersion: BUNDLE_VERSION,
  });
});

test('Artifact Hub is told of every kind, and its examples are accepted', () => {
  const text = readFileSync(new URL('../helm/filerpair/Chart.yaml', import.meta.url), 'utf8');
  const { annotations, ...chart } = parse(text);
  const told = parse(annotations['artifacthub.io/crds']) as { kind: string; name: string; version: string }[];
  expect(told.map(({ kind, name, version }) => [kind, name, version]).toSorted()).toEqual(
    kinds
      .map((kind) => customResourceDefinition(kind))
      .map(({ metadata, spec }) => [spec.names.kind, metadata.name, spec.versions[0]!.name])
      .toSorted(),
  );
  const shown = parse(annotations['artifacthub.io/crdsExamples']) as { kind: string }[];
  expect(shown.map(messageOf)).toEqual(shown.map(() => 'accepted'));
  for (const field of ['icon', 'home', 'sources', 'maintainers']) expect(chart).toHaveProperty(field);
});

test('no category has the name of a kind: kubectl get filerpair NAME would ask for all kinds', () => {
  const names = kinds.map((kind) => customResourceDefinition(kind).spec.names);
  const words = names.flatMap(({ singular, plural, shortNames }) => [singular, plural, ...shortNames]);
  expect(new Set(words).size).toBe(words.length);
  for (const { categories } of names)
    for (const category of categories) expect(words).not.toContain(category);
});

test.each(examples)('accepts $file', ({ objects }) => {
  expect(objects.map(messageOf)).toEqual(objects.map(() => 'accepted'));
});

test('every kind has an example', () => {
  const shown = new Set(examples.flatMap(({ objects }) => objects.map(({ kind }) => kind)));
  expect([...shown].sort()).toEqual(kinds.map(({ kind }) => kind).sort());
});

/** Fields of a spec: `spec.servers[].name`; what has only members of the user's choosing is one. */
function fieldsOf(schema: Schema, path: string): string[] {
  const { properties, items } = schema;
  if (items !== undefined) return fieldsOf(items, `${path}[]`);
  if (properties === undefined) return [path];
  return Object.entries(properties).flatMap(([name, its]) => fieldsOf(its, `${path}.${name}`));
}

const has = (value: unknown, [part, ...rest]: readonly string[]): boolean => {
  if (part === undefined) return value !== undefined;
  const name = part.replace('[]', '');
  const member = (value as Readonly<Record<string, unknown>> | undefined)?.[name];
  if (!part.endsWith('[]')) return has(member, rest);
  return Array.isArray(member) && member.some((one) => has(one, rest));
};

/** The same parts as in the spec of a FilerPair. */
const REPEATED = /^spec\.servers\[\]\.(podTemplate|volumes\[\]\.(claimTemplate|whenDeleted))/;

test.each(kinds)('the examples show every field of $kind', ({ kind, schema }) => {
  const { spec } = structuralSchema(schema).properties as { spec: Schema };
  const objects = examples.flatMap(({ objects: all }) => all.filter((one) => one.kind === kind));
  const missing = fieldsOf(spec, 'spec').filter(
    (field) =>
      !REPEATED.test(field) &&
      !(kind === 'FilerPairClass' && field.startsWith('spec.podTemplate')) &&
      !objects.some((object) => has(object, field.split('.'))),
  );
  expect(missing).toEqual([]);
});

describe('refuses, naming the field and the reason', () => {
  test.each(refusedObjects)('$title', ({ object, reason }) => {
    expect(messageOf(object)).toContain(reason);
  });
});

test.each(refusedChanges)('accepts as a new object: $title', ({ object }) => {
  expect(messageOf(object)).toBe('accepted');
});

test.each(refusedChanges)('refuses as a change: $title', ({ before, object, reason }) => {
  const { schema } = kinds.find(({ kind }) => kind === object.kind)!;
  expect(brokenByChange(schema, schema.parse(before), schema.parse(object)).join('\n')).toContain(reason);
});

test('the order of lists with keys is no change', () => {
  const pair = example('everything', 'FilerPair');
  const reversed = structuredClone(pair);
  for (const list of ['servers', 'antiAffinity']) (reversed.spec[list] as unknown[]).reverse();
  const { schema } = kinds.find(({ kind }) => kind === 'FilerPair')!;
  expect(brokenByChange(schema, schema.parse(pair), schema.parse(reversed))).toEqual([]);
});

test('headers of printed columns are one word: scripts take lines apart at blanks', () => {
  for (const { kind, columns } of kinds)
    for (const { name } of columns) expect(`${kind}: ${name}`).toMatch(/^\w+: [A-Z][A-Za-z]+$/);
  expect(kinds[0]!.columns.map(({ name }) => name)).toContain('Degraded');
});
