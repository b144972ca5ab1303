/**
 * Names outside the cluster, which the real external-dns publishes to a real DNS server. A client that knows no other resolver
 * follows a failover by them, no record changes, and the condition NamesPublished tells what the DNS really answers.
 */
import { expect } from 'vitest';
import { eventually } from '../../testing/eventually.ts';
import { REPOSITORY } from '../environment.ts';
import { createClientPod } from '../harness/client-pod.ts';
import type { Thing } from '../harness/kubectl.ts';
import { PAIR, serviceOf } from '../harness/pair.ts';
import { LINES_AFTERWARDS, PARTNER, SERVER, scenario } from '../harness/scenario.ts';
import { step } from '../harness/step.ts';
import { WRITER_FINISHED_MS_MAX } from '../harness/timeouts.ts';
import { BIND_DEPLOYMENT, dnsServer, EXTERNAL_DNS_DEPLOYMENT, scale } from './install.ts';
import { NAMES, NamesPair, PUBLISHED_MS_MAX, TTL_S } from './names-pair.ts';

interface ServiceThing extends Thing {
  readonly spec: { readonly clusterIP: string };
}

const STRANGER = '192.0.2.7';
const ENDPOINT = ['dnsendpoints.externaldns.k8s.io', PAIR] as const;
const DEFINITION = 'customresourcedefinition/dnsendpoints.externaldns.k8s.io';
const DEFINITION_FILE = `${REPOSITORY}/e2e/manifests/dnsendpoints.externaldns.k8s.io.yaml`;
const [FIRST, SECOND] = [serviceOf(SERVER), serviceOf(PARTNER)];

scenario(
  {
    name: 'names-published',
    fault: 'a takeover is asked for; then everything that can be wrong with the names',
    gapMsGoal: 300,
    replaces: [],
    makePair: (environment, namespace) => new NamesPair(environment, namespace, { label: 'inside' }),
    // It asks nobody else: what the cluster's own DNS says of Services does not help it.
    makeClient: async (pair, node) =>
      createClientPod(pair, node, {
        dnsPolicy: 'None',
        dnsConfig: { nameservers: [await dnsServer(pair.environment)] },
      }),
    prepare: async (pair) => {
      const names = pair as NamesPair;
      await step('somebody has published one of the names already', () =>
        names.change(`update add ${names.fullName(SECOND)} 5 A ${STRANGER}`),
      );
    },
    cleanUp: async (pair) => {
      await pair.kubectl.run('apply', '-f', DEFINITION_FILE);
      for (const one of [BIND_DEPLOYMENT, EXTERNAL_DNS_DEPLOYMENT]) await scale(pair.environment, one, 1);
    },
  },
  'names exist from the first day, do not change at a failover, and are watched over',
  async ({ pair: anyPair, writer, noteIdentity }) => {
    const pair = anyPair as NamesPair;
    await conflict(pair);
    await allAnswer(pair);

    const serial = await pair.zoneSerial();
    await writer.mark('failover');
    await step('a takeover is asked for', () => pair.request('takeover', SERVER));
    await step('the writer is served again', () => writer.writes(LINES_AFTERWARDS, WRITER_FINISHED_MS_MAX));
    await noteIdentity();
    await pair.takeoverPossible(WRITER_FINISHED_MS_MAX);
    await writer.mark('giveback');
    await step('giveback is asked for', () => pair.request('giveback', SERVER));
    await step('the writer is served again', () => writer.writes(LINES_AFTERWARDS, WRITER_FINISHED_MS_MAX));
    await step('no record of the zone has changed', async () => {
      expect(await pair.zoneSerial(), 'serial of the zone').toBe(serial);
    });

    await endpointDeleted(pair);
    await recordsLost(pair);
    await withoutExternalDns(pair);
    await withoutDns(pair);
    await writer.writes(LINES_AFTERWARDS, WRITER_FINISHED_MS_MAX);
  },
);

/** external-dns leaves alone what it has not made. */
async function conflict(pair: NamesPair): Promise<void> {
  const sentence = await step('the status says that another answers to it', () =>
    pair.namesAre('OtherAnswer'),
  );
  expect(sentence).toContain(`${pair.fullName(SECOND)} A ${STRANGER}, and should answer`);
  await step('that one goes away', () => pair.change(`update delete ${pair.fullName(SECOND)} A`));
}

/** Both names of both servers lead to the Services, for as long as the spec says. */
async function allAnswer(pair: NamesPair): Promise<void> {
  const found = await step('the DNS answers all four names', () => pair.published());
  for (const name of NAMES) {
    const { spec } = await pair.kubectl.get<ServiceThing>('service', name);
    expect(found[name], name).toBe(spec.clusterIP);
    expect((await pair.addressesOf(name))[0]?.ttl, `time to live of ${name}`).toBe(TTL_S);
  }
  const sentence = await step('the status says so', () => pair.namesAre('Answered'));
  for (const name of NAMES) expect(sentence).toContain(`${pair.fullName(name)} A ${found[name]}`);
}

async function endpointDeleted(pair: NamesPair): Promise<void> {
  const before = await pair.kubectl.get<Thing>(...ENDPOINT);
  await step('the DNSEndpoint is deleted by hand', () => pair.kubectl.run('delete', ...ENDPOINT));
  await step('it comes back', () =>
    eventually('there is a new DNSEndpoint', PUBLISHED_MS_MAX, async () => {
      const { code, stdout } = await pair.kubectl.try('get', ...ENDPOINT, '-o', 'json');
      return code === 0 && (JSON.parse(stdout) as Thing).metadata.uid !== before.metadata.uid;
    }),
  );
  await step('the DNS answers all four names', () => pair.published());
}

/** While external-dns does not run a record is deleted, and one is changed; when it runs again it puts both right. */
async function recordsLost(pair: NamesPair): Promise<void> {
  await step('external-dns stands still', () => scale(pair.environment, EXTERNAL_DNS_DEPLOYMENT, 0));
  await step('a record is deleted', () => pair.change(`update delete ${pair.fullName(FIRST)} A`));
  const missing = await step('the status says that it does not answer', () => pair.namesAre('NotAnswered'));
  expect(missing).toContain(
    `The DNS does not know ${pair.fullName(FIRST)} yet. It is in DNSEndpoint ${PAIR}`,
  );
  await step('a record is changed', () =>
    pair.change(
      `update delete ${pair.fullName(SECOND)} A`,
      `update add ${pair.fullName(SECOND)} 5 A ${STRANGER}`,
    ),
  );
  const other = await step('the status says that another answers', () => pair.namesAre('OtherAnswer'));
  expect(other).toContain(STRANGER);
  await step('external-dns runs again', () => scale(pair.environment, EXTERNAL_DNS_DEPLOYMENT, 1));
  await step('the status says that all names answer', () => pair.namesAre('Answered'));
}

/** Its definition is removed from the cluster: nobody could be told. */
async function withoutExternalDns(pair: NamesPair): Promise<void> {
  await step('external-dns is removed with its definition', async () => {
    await scale(pair.environment, EXTERNAL_DNS_DEPLOYMENT, 0);
    await pair.kubectl.run('delete', DEFINITION);
    await pair.change(`update delete ${pair.fullName(FIRST)} A`);
  });
  const sentence = await step('the status says that nothing publishes', () => pair.namesAre('NoExternalDns'));
  expect(sentence).toContain('Install ExternalDNS with that definition');
  await step('it is installed again', async () => {
    await pair.kubectl.run('apply', '-f', DEFINITION_FILE);
    await scale(pair.environment, EXTERNAL_DNS_DEPLOYMENT, 1);
  });
  await step('the status says that all names answer', () => pair.namesAre('Answered'));
}

/** The DNS server ends and forgets everything: what it would say is not known, which is not the same as no. */
async function withoutDns(pair: NamesPair): Promise<void> {
  await step('the DNS server ends, and so does external-dns, which cannot do without', async () => {
    await scale(pair.environment, EXTERNAL_DNS_DEPLOYMENT, 0);
    await scale(pair.environment, BIND_DEPLOYMENT, 0);
  });
  const sentence = await step('the status says that it cannot know', () => pair.namesAre('DnsUnreachable'));
  expect(sentence).toContain('could not be found out');
  await step('an empty one starts', async () => {
    await scale(pair.environment, BIND_DEPLOYMENT, 1);
    await scale(pair.environment, EXTERNAL_DNS_DEPLOYMENT, 1);
  });
  await step('the status says that all names answer', () => pair.namesAre('Answered'));
}
