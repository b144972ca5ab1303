/**
 * The API server itself refuses an object that cannot work, before the operator sees it, with a message that names the field
 * and the reason: through kubectl, and with the chart's policies beside the schemas.
 */
import { describe, expect, test } from 'vitest';
import { type AnyObject, examples, refusedObjects } from '../../crds/testing/examples.ts';
import { readEnvironment } from '../environment.ts';
import { Kubectl } from '../harness/kubectl.ts';
import { recordResult } from '../harness/results.ts';

const NAMESPACE = 'default';
const kubectl = new Kubectl(readEnvironment(), NAMESPACE);
const failed: string[] = [];
const from = performance.now();

/** In a namespace that there is. */
const here = (object: AnyObject): AnyObject => {
  const { namespace, ...metadata } = object.metadata;
  return { ...object, metadata: namespace === undefined ? metadata : { ...metadata, namespace: NAMESPACE } };
};

describe('the API server', () => {
  test.for(examples)('accepts $file', async ({ file, objects }) => {
    failed.push(file);
    const { code, stderr } = await kubectl.dryRun(...objects.map(here));
    expect(stderr.replaceAll(/^Warning: .*$/gm, '').trim()).toBe('');
    expect(code).toBe(0);
    failed.pop();
  });

  test.for(refusedObjects)('refuses $title, naming field and reason', async ({ title, object, reason }) => {
    failed.push(title);
    const { code, stderr } = await kubectl.dryRun(here(object));
    expect(code).not.toBe(0);
    expect(stderr).toContain(reason);
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
