// The API server itself refuses a FilerPair that cannot work, before the operator sees it, with a message that names the field
// and the reason. Every example in crds/examples/invalid says in its first lines which.
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { REPOSITORY, readEnvironment } from '../environment.ts';
import { Kubectl } from '../harness/kubectl.ts';
import { recordResult } from '../harness/results.ts';

const EXAMPLES = join(REPOSITORY, 'crds/examples');
const examples = (kind: 'valid' | 'invalid') =>
  readdirSync(join(EXAMPLES, kind))
    .filter((name) => name.endsWith('.yaml'))
    .map((name) => ({ name, file: join(EXAMPLES, kind, name) }));

/** The comment `# KEY: VALUE` at the top of an example; reasons are regular expressions. */
function expected(file: string, key: 'field' | 'reason'): string {
  const value = new RegExp(`^# ${key}: (.*)$`, 'm').exec(readFileSync(file, 'utf8'))?.[1];
  if (value === undefined) throw new Error(`${file} does not say which ${key} is wrong`);
  return value;
}

const kubectl = new Kubectl(readEnvironment(), 'default');
const failed: string[] = [];
const from = performance.now();

describe('the API server', () => {
  test.for(examples('valid'))('accepts $name', async ({ name, file }) => {
    failed.push(name);
    const { code, stderr } = await kubectl.dryRun(file);
    expect(stderr.replaceAll(/^Warning: .*$/gm, '').trim()).toBe('');
    expect(code).toBe(0);
    failed.pop();
  });

  test.for(examples('invalid'))('refuses $name, naming field and reason', async ({ name, file }) => {
    failed.push(name);
    const { code, stderr } = await kubectl.dryRun(file);
    expect(code).not.toBe(0);
    expect(stderr).toContain(expected(file, 'field'));
    expect(stderr).toMatch(new RegExp(expected(file, 'reason')));
    failed.pop();
  });

  test('has refused or accepted every example as it should', () => {
    recordResult('invalid-pairs-refused', {
      passed: failed.length === 0,
      tookMs: Math.round(performance.now() - from),
    });
    expect(failed).toEqual([]);
  });
});
