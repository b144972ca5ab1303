import { readdirSync, readFileSync } from 'node:fs';
import { loadYaml } from '@kubernetes/client-node';
import { describe, expect, test } from 'vitest';
import { explain, type FilerPairSpec, filerPair, filerPairSpec } from './filerpair.ts';
import { outOfSync } from './generate.ts';

const examples = (kind: 'valid' | 'invalid') =>
  readdirSync(new URL(`examples/${kind}`, import.meta.url)).map((file) => {
    const text = readFileSync(new URL(`examples/${kind}/${file}`, import.meta.url), 'utf8');
    return { name: file.replace('.yaml', ''), text, object: loadYaml<Record<string, unknown>>(text) };
  });
const comment = (text: string, key: string): string => {
  const found = new RegExp(`^# ${key}: (.*)$`, 'm').exec(text)?.[1];
  if (found === undefined) throw new Error(`the example has no comment "# ${key}: ..."`);
  return found;
};

/** Where the API server has words of its own for what the schema says, the example gives ours too. */
const zodComment = (text: string, key: string): string =>
  comment(text, text.includes(`# ${key}(zod): `) ? `${key}\\(zod\\)` : key);

test('what is generated from the schema is in sync with it (node crds/generate.ts)', () => {
  expect(outOfSync()).toEqual([]);
});

test.each(examples('valid'))('accepts $name', ({ object }) => {
  const parsed = filerPair.safeParse(object);
  expect(parsed.error && explain(parsed.error, '')).toBeUndefined();
});

describe('refuses, naming the field and the reason', () => {
  test.each(examples('invalid'))('$name', ({ text, object }) => {
    const parsed = filerPair.safeParse(object);
    const message = parsed.error ? explain(parsed.error, '') : 'accepted';
    const field = zodComment(text, 'field');
    const reason = zodComment(text, 'reason');
    const line = message.split('\n').find((one) => one.startsWith(field));
    expect(line, `no line about ${field} in: ${message}`).toBeDefined();
    expect(line).toContain(reason);
  });
});

test('a name that cannot be a label', () => {
  const [minimal] = examples('valid').filter(({ name }) => name === 'minimal');
  const parsed = filerPair.safeParse({ ...minimal!.object, metadata: { name: 'x'.repeat(64) } });
  expect(parsed.error && explain(parsed.error, '')).toContain('at most 63');
});

test('fills in the defaults', () => {
  const [minimal] = examples('valid').filter(({ name }) => name === 'minimal');
  const spec = filerPairSpec.parse((minimal!.object as { spec: unknown }).spec);
  expect(spec).toMatchObject({
    ports: { primary: 2049, secondary: 2050, interconnect: 7420, metrics: 9090 },
    failover: { suffix: '-failover', lease: '2s', guard: '500ms', heartbeat: '200ms' },
    storage: { transfer: 'Shared' },
  } satisfies { [K in keyof FilerPairSpec]?: Partial<FilerPairSpec[K]> });
  expect(spec.servers[0]!.exports[0]).toMatchObject({
    access: 'ReadWrite',
    squash: 'Root',
    anonymousUid: 65534,
  });
});
