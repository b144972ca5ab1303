/**
 * A rehearsal of the next version of the API (docs/api-design.md, Growing): a made-up v2 in which a field has another name. What
 * a definition without a webhook loses, what one with a webhook keeps, and how objects leave the old version behind.
 */
import { once } from 'node:events';
import { createServer, type Server } from 'node:https';
import type { AddressInfo } from 'node:net';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { customResourceDefinition } from '../../crds/custom-resource-definition.ts';
import { GROUP, VERSION } from '../../crds/group.ts';
import { kinds } from '../../crds/kinds.ts';
import type { KubernetesClient } from '../../kubernetes/client.ts';
import type { KubernetesObject } from '../../kubernetes/objects.ts';
import { type Resource, resources } from '../../kubernetes/resource.ts';
import { issueCertificate, makeAuthority } from '../../operator/apply/certificate-authority.ts';
import { eventually } from '../../testing/eventually.ts';
import { ApiServer } from './api-server.ts';
import { KNOWN_MS_MAX, makeNamespace } from './installed-chart.ts';

const NEXT = 'v2';
const HOUR_MS = 3_600_000;
const NAMESPACE = 'storage';
const NAMES = ['home', 'projects'];

type Share = KubernetesObject & { readonly apiVersion: string; readonly spec: Record<string, unknown> };
interface Definition extends KubernetesObject {
  readonly status?: { readonly storedVersions?: readonly string[] };
}

const kind = kinds.find((one) => one.kind === 'FilerShare')!;
const definitionName = { name: `${kind.plural}.${GROUP}` };
const of = (version: string): Resource => ({ ...resources.filerShares, version });

let server: ApiServer;
let client: KubernetesClient;
let webhook: Server;
let clientConfig: object;

/** `clientPorts` is `ports` in the next version. */
function converted(share: Share, to: string): Share {
  const { clientPorts, ports = clientPorts, ...spec } = share.spec;
  const isNext = to === `${GROUP}/${NEXT}`;
  return { ...share, apiVersion: to, spec: { ...spec, [isNext ? 'ports' : 'clientPorts']: ports } };
}

/** Answers a ConversionReview. */
function review(text: string): string {
  const {
    apiVersion,
    kind: what,
    request,
  } = JSON.parse(text) as {
    apiVersion: string;
    kind: string;
    request: { uid: string; desiredAPIVersion: string; objects: Share[] };
  };
  const convertedObjects = request.objects.map((one) => converted(one, request.desiredAPIVersion));
  const response = { uid: request.uid, result: { status: 'Success' }, convertedObjects };
  return JSON.stringify({ apiVersion, kind: what, response });
}

/** Both versions; `stored`: which one is. */
function definition(stored: string, conversion: object, served = [VERSION, NEXT]) {
  const now = customResourceDefinition(kind);
  const [first] = now.spec.versions;
  const next = structuredClone(first!);
  const { spec } = next.schema.openAPIV3Schema.properties as unknown as {
    spec: { properties: Record<string, unknown> };
  };
  const { clientPorts, ...others } = spec.properties;
  spec.properties = { ...others, ports: clientPorts };
  const versions = [
    { ...first, storage: stored === VERSION, served: served.includes(VERSION) },
    // Selectable fields that are the same in both versions are refused where the schemas differ (as of Kubernetes 1.36).
    {
      ...next,
      name: NEXT,
      storage: stored === NEXT,
      served: served.includes(NEXT),
      selectableFields: [...(next.selectableFields ?? []), { jsonPath: '.spec.server' }],
    },
  ];
  return { ...now, spec: { ...now.spec, versions, conversion } };
}

async function install(wanted: ReturnType<typeof definition>): Promise<void> {
  const { metadata } = await client.get(resources.customResourceDefinitions, definitionName);
  const { resourceVersion = '' } = metadata;
  await client.replace(resources.customResourceDefinitions, {
    ...wanted,
    metadata: { ...wanted.metadata, resourceVersion },
  } as unknown as KubernetesObject);
}

/** As soon as the API server goes by the definition of now. */
const portsBy = async (version: string, field: string, value: unknown): Promise<void> => {
  let seen: unknown;
  await eventually(
    `${version} has ${field} ${String(value)}`,
    KNOWN_MS_MAX,
    async () => {
      const found = await client
        .get<Share>(of(version), { namespace: NAMESPACE, name: 'home' })
        .catch(() => null);
      seen = found?.spec;
      return found !== null && found.spec[field] === value;
    },
    () => JSON.stringify(seen),
  );
};

const storedVersions = async (): Promise<readonly string[]> =>
  (await client.get<Definition>(resources.customResourceDefinitions, definitionName)).status
    ?.storedVersions ?? [];

beforeAll(async () => {
  const authority = await makeAuthority('rehearsal', Date.now(), HOUR_MS);
  const { certificate, key } = await issueCertificate(authority, 'localhost', Date.now(), HOUR_MS);
  webhook = createServer({ cert: certificate, key }, (request, response) => {
    let text = '';
    request.setEncoding('utf8').on('data', (part: string) => {
      text += part;
    });
    request.on('end', () => {
      response.writeHead(200, { 'content-type': 'application/json' });
      response.end(review(text));
    });
  }).listen(0, '127.0.0.1');
  await once(webhook, 'listening');
  const { port } = webhook.address() as AddressInfo;
  clientConfig = {
    url: `https://localhost:${port}/convert`,
    caBundle: Buffer.from(authority.certificate).toString('base64'),
  };
  server = await ApiServer.start();
  client = server.client('admin');
  await makeNamespace(client, NAMESPACE);
  await client.create(resources.customResourceDefinitions, customResourceDefinition(kind));
  await eventually('the API server knows FilerShares', KNOWN_MS_MAX, () =>
    client.list(resources.filerShares).then(
      () => true,
      () => false,
    ),
  );
  for (const name of NAMES)
    await client.create(resources.filerShares, {
      apiVersion: `${GROUP}/${VERSION}`,
      kind: kind.kind,
      metadata: { namespace: NAMESPACE, name },
      spec: { pairRef: { name: 'nas' }, server: 'a', clients: ['10.0.0.0/8'], clientPorts: 'Reserved' },
    } as unknown as KubernetesObject);
}, 300_000);

afterAll(async () => {
  webhook?.close();
  await server?.stop();
});

test('without a webhook a field with another name is lost', async () => {
  await install(definition(VERSION, { strategy: 'None' }));
  await portsBy(NEXT, 'ports', undefined);
  await portsBy(VERSION, 'clientPorts', 'Reserved');
});

test('with a webhook both versions say the same, and objects leave the old one behind', async () => {
  const conversion = {
    strategy: 'Webhook',
    webhook: { clientConfig, conversionReviewVersions: ['v1'] },
  };
  await install(definition(VERSION, conversion));
  await portsBy(NEXT, 'ports', 'Reserved');
  await portsBy(VERSION, 'clientPorts', 'Reserved');

  // The new one is stored from now on; what is there is still stored as it was.
  await install(definition(NEXT, conversion));
  expect(await storedVersions()).toEqual([VERSION, NEXT]);
  await portsBy(VERSION, 'clientPorts', 'Reserved');

  // A write that changes nothing stores an object anew.
  for (const name of NAMES) {
    const stored = await client.get<Share>(of(NEXT), { namespace: NAMESPACE, name });
    await client.replace(of(NEXT), stored);
  }
  await client.mergePatch(
    resources.customResourceDefinitions,
    definitionName,
    { status: { storedVersions: [NEXT] } },
    { subresource: 'status' },
  );

  // The old version is served no longer, and nothing needs the webhook.
  await install(definition(NEXT, { strategy: 'None' }, [NEXT]));
  await eventually('the old version is gone', KNOWN_MS_MAX, () =>
    client.list(of(VERSION)).then(
      () => false,
      () => true,
    ),
  );
  webhook.close();
  await portsBy(NEXT, 'ports', 'Reserved');
  expect(
    (await client.list<Share>(of(NEXT), { namespace: NAMESPACE })).items.map(({ spec }) => spec['ports']),
  ).toEqual(NAMES.map(() => 'Reserved'));
}, 300_000);
