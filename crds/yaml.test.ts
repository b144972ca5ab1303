import { loadYaml } from '@kubernetes/client-node';
import { expect, test } from 'vitest';
import { customResourceDefinition } from './custom-resource-definition.ts';
import { toYaml } from './yaml.ts';

test('a YAML parser reads back what was written', () => {
  const crd = customResourceDefinition();
  // Wrapped, since the parser would make typed objects of a definition that it recognises.
  expect(loadYaml(toYaml({ wrapped: crd }))).toEqual({ wrapped: JSON.parse(JSON.stringify(crd)) });
});

test.each([
  'yes',
  'null',
  '12',
  '1e3',
  '',
  ' x',
  'x ',
  'a: b',
  '- a',
  '# no',
  '2026-01-01',
  'ä',
  'a\nb',
  '~',
  '{}',
])('the text %j stays a text', (text) =>
  expect(loadYaml(toYaml({ a: [text], [text]: { b: text } }))).toEqual({ a: [text], [text]: { b: text } }),
);
