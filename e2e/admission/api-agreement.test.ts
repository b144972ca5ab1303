/**
 * Our schemas (zod, and rules in TypeScript) against those of the API server (OpenAPI and CEL). Both refuse the same objects
 * and the same changes.
 */
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { refusedChanges as brokenByChange } from '../../crds/changes.ts';
import { customResourceDefinition } from '../../crds/custom-resource-definition.ts';
import { explain } from '../../crds/explain.ts';
import { GROUP, VERSION } from '../../crds/group.ts';
import { type Kind, kinds } from '../../crds/kinds.ts';
import { type AnyObject, examples, refusedChanges, refusedObjects } from '../../crds/testing/examples.ts';
import { randomObject } from '../../crds/testing/random-objects.ts';
import type { KubernetesClient } from '../../kubernetes/client.ts';
import type { KubernetesObject } from '../../kubernetes/objects.ts';
import { type Resource, resources } from '../../kubernetes/resource.ts';
import { eventually } from '../../testing/eventually.ts';
import { SeededRandom } from '../../testing/seeded-random.ts';
import { ApiServer } from './api-server.ts';
import { makeNamespace } from './installed-chart.ts';

const NAMESPACE = 'storage';
const RANDOM_OBJECTS = Number(process.env['OBJECTS'] ?? 400);
const SEED = Number(process.env['SEED'] ?? 1);

let server: ApiServer;
let client: KubernetesClient;
let made = 0;

const kindOf = (object: AnyObject): Kind => kinds.find(({ kind }) => kind === object.kind)!;

const resourceOf = ({ plural, kind, scope }: Kind): Resource => ({
  group: GROUP,
  version: VERSION,
  plural,
  kind,
  namespaced: scope === 'Namespaced',
});

/** What the API server says to it; null: it takes it. */
const refusal = (call: Promise<unknown>): Promise<string | null> =>
  call.then(
    () => null,
    (error: Error) => error.message,
  );

const asNew = (object: AnyObject): Promise<string | null> =>
  refusal(client.create(resourceOf(kindOf(object)), object as KubernetesObject, { dryRun: true }));

/** Makes it, under a name of its own. */
async function live(object: AnyObject): Promise<AnyObject> {
  const resource = resourceOf(kindOf(object));
  const metadata = { name: `object-${made++}`, ...(resource.namespaced ? { namespace: NAMESPACE } : {}) };
  await client.create(resource, { ...object, metadata } as KubernetesObject);
  return { ...object, metadata };
}

async function asChange(before: AnyObject, after: AnyObject): Promise<string | null> {
  const resource = resourceOf(kindOf(before));
  const { metadata } = await client.get(resource, before.metadata);
  return refusal(client.replace(resource, { ...after, metadata } as KubernetesObject, { dryRun: true }));
}

beforeAll(async () => {
  server = await ApiServer.start();
  client = server.client('admin');
  await makeNamespace(client, NAMESPACE);
  for (const kind of kinds)
    await client.create(resources.customResourceDefinitions, customResourceDefinition(kind));
  for (const kind of kinds)
    await eventually(`the API server knows ${kind.plural}`, 60_000, () =>
      client.list(resourceOf(kind)).then(
        () => true,
        () => false,
      ),
    );
}, 300_000);

afterAll(() => server?.stop());

test.each(examples)('accepts $file', async ({ objects }) => {
  for (const object of objects) expect(await asNew(object)).toBeNull();
});

describe('refuses, in the same words', () => {
  test.each(refusedObjects)('$title', async ({ object, reason }) => {
    expect(await asNew(object)).toContain(reason);
  });
});

describe('refuses as a change, in the same words', () => {
  test.each(refusedChanges)('$title', async ({ before, object, reason }) => {
    expect(await asChange(await live(before), object)).toContain(reason);
  });
});

test(`agrees about random objects, and about changing an example into them (SEED=${SEED})`, async () => {
  const all = examples.flatMap(({ objects }) => objects);
  const existing = await Promise.all(all.map(live));
  const seen = { accepted: 0, refused: 0, changed: 0, notChanged: 0 };
  for (let n = 0; n < RANDOM_OBJECTS; n++) {
    const random = new SeededRandom(SEED * 100_000 + n);
    const which = Math.floor(random.next() * all.length);
    const object = randomObject(random, all[which]!);
    const { schema } = kindOf(object);
    const parsed = schema.safeParse(object);
    const said = await asNew(object);
    const about = `object ${n}: ${JSON.stringify(object)}\nthe API server: ${said}\nwe: ${parsed.error && explain(parsed.error, '')}`;
    expect(parsed.success, about).toBe(said === null);
    if (!parsed.success) {
      seen.refused += 1;
      continue;
    }
    seen.accepted += 1;
    const ours = brokenByChange(schema, schema.parse(all[which]), parsed.data);
    const theirs = await asChange(existing[which]!, object);
    expect(ours.length === 0, `${about}\nas a change: ${theirs}\nwe: ${ours.join('; ')}`).toBe(
      theirs === null,
    );
    seen[theirs === null ? 'changed' : 'notChanged'] += 1;
  }
  console.log(seen);
  for (const count of Object.values(seen)) expect(count).toBeGreaterThan(RANDOM_OBJECTS / 100);
}, 300_000);
