/**
 * Which Pod Security level a namespace needs for a pair, by mode: the operator's own pods, given to the API server's own
 * admission. docs/security.md has the table; what it says is what is tested here.
 */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { type DrillSubject, drillPlan, PROBE_UID } from '../../client/cli/drill/plan.ts';
import { ApiError } from '../../kubernetes/api-error.ts';
import type { KubernetesClient } from '../../kubernetes/client.ts';
import type { KubernetesObject } from '../../kubernetes/objects.ts';
import { resources } from '../../kubernetes/resource.ts';
import { attachmentPod } from '../../operator/desired/attachment-pod.ts';
import { imageTrial } from '../../operator/desired/image-trial-pod.ts';
import { serverPod } from '../../operator/desired/pod.ts';
import { spec, World } from '../../operator/plan/world.fixture.ts';
import { REPOSITORY } from '../environment.ts';
import { ApiServer } from './api-server.ts';
import { makeNamespace, rendered } from './installed-chart.ts';

const levels = ['restricted', 'baseline', 'privileged'] as const;
type Level = (typeof levels)[number];

const shared = new World().view();
const moving = new World({ ...spec, storage: { type: 'Reattach' } }).view();
const onHost = new World({ ...spec, exposure: { type: 'HostNetwork' } }).view();

const specOf = (object: KubernetesObject): unknown => (object as unknown as { spec: unknown }).spec;

/** The Job's pod of `kubectl filerpair drill`. */
const probe = (): unknown => {
  const subject = {
    pair: {
      metadata: { name: 'nas', namespace: 'storage' },
      spec: {
        servers: [{ name: 'a' }, { name: 'b' }],
        listeners: [{ name: 'nfs', port: 2049, failoverPort: 2050 }],
        names: { failoverSuffix: '-failover' },
      },
    },
    server: 'a',
    shares: [
      {
        metadata: { name: 'home' },
        spec: { server: 'a' },
        status: { conditions: [{ type: 'Ready', status: 'True' }] },
      },
    ],
    record: { status: { owner: 'a', epoch: 1 } },
    partnerPod: serverPod(shared, shared.servers[1]),
  } as unknown as DrillSubject;
  const { job } = drillPlan(subject, { share: undefined, write: true, uid: PROBE_UID });
  return (specOf(job) as { template: { spec: unknown } }).template.spec;
};

interface Case {
  readonly pod: string;
  readonly needs: Level;
  readonly spec: unknown;
  /** What stands in the way of the next stricter level. */
  readonly because: RegExp;
}

const cases: readonly Case[] = [
  {
    pod: 'server, Shared',
    needs: 'privileged',
    spec: serverPod(shared, shared.servers[0]).spec,
    because: /non-default capabilities .*DAC_READ_SEARCH/,
  },
  {
    pod: 'server, Reattach',
    needs: 'privileged',
    spec: serverPod(moving, moving.servers[0]).spec,
    because: /hostPath volumes/,
  },
  {
    pod: 'server, host network',
    needs: 'privileged',
    spec: serverPod(onHost, onHost.servers[0]).spec,
    because: /host namespaces/,
  },
  {
    pod: 'disks, Reattach',
    needs: 'privileged',
    spec: specOf(attachmentPod(moving, moving.servers[0], 'node-1')),
    because: /privileged/,
  },
  {
    pod: 'trial of an image',
    needs: 'restricted',
    spec: specOf(imageTrial(shared, shared.servers[0])),
    because: /never/,
  },
  { pod: 'probe of a drill', needs: 'restricted', spec: probe(), because: /never/ },
];

let server: ApiServer;
let client: KubernetesClient;

beforeAll(async () => {
  server = await ApiServer.start();
  client = server.client('admin');
  for (const level of levels) {
    await makeNamespace(client, level, { 'pod-security.kubernetes.io/enforce': level });
  }
}, 300_000);

afterAll(() => server?.stop());

describe('a namespace that enforces a Pod Security level', () => {
  test.each(cases)('admits the pod "$pod" from the level $needs on', async ({ spec, needs, because }) => {
    for (const level of levels) {
      const said = await refusal(level, spec);
      const stricter = levels.indexOf(needs) - levels.indexOf(level);
      if (stricter <= 0) expect(said, level).toBeNull();
      else expect(said, level).toMatch(stricter === 1 ? because : /violates PodSecurity/);
    }
  });

  test('admits the operator at the level restricted', async () => {
    const deployment = (await rendered({})).find(({ kind }) => kind === 'Deployment');
    const { template } = specOf(deployment!) as { template: { spec: unknown } };
    expect(await refusal('restricted', template.spec)).toBeNull();
  });

  test('is told the truth by docs/security.md', () => {
    const text = readFileSync(join(REPOSITORY, 'docs/security.md'), 'utf8');
    for (const { pod, needs } of cases) expect(text).toContain(`| ${pod} | ${needs} |`);
  });
});

async function refusal(namespace: string, spec: unknown): Promise<string | null> {
  const pod = { apiVersion: 'v1', kind: 'Pod', metadata: { name: 'one', namespace }, spec };
  try {
    await client.create(resources.pods, pod as KubernetesObject, { dryRun: true });
    return null;
  } catch (error) {
    if (error instanceof ApiError && error.status === 403) return error.message;
    throw error;
  }
}
