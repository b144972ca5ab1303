/**
 * A real DNS server outside the cluster's own DNS, and the real external-dns, in the test cluster: BIND on the network of the
 * control plane's node, where pods and machines outside the cluster reach it alike. It has one zone, which changes by a key
 * (RFC 2136), and external-dns has that key.
 */
import { createHash } from 'node:crypto';
import type { TestEnvironment } from '../environment.ts';
import { Kubectl, type Thing } from '../harness/kubectl.ts';
import { run } from '../machine/command.ts';
import { stage } from '../machine/stage.ts';

// The cluster's DNS asks BIND for the zone, as a company's cluster asks the company's DNS.

export const DNS_NAMESPACE = 'e2e-names';
/** The zone. */
export const DOMAIN = 'names.example.org';
export const EXTERNAL_DNS_DEPLOYMENT = 'deployment/external-dns';
export const BIND_DEPLOYMENT = 'deployment/bind';
const KEY_NAME = 'external-dns';
/** TSIG, hmac-sha256. Known to everybody: it guards a zone of a test cluster. */
const KEY = createHash('sha256').update(DOMAIN).digest('base64');
const INSTALLED_MS_MAX = 120_000;

export interface NamesImages {
  readonly bind: string;
  readonly externalDns: string;
}

export async function installNames(environment: TestEnvironment, images: NamesImages): Promise<void> {
  await stage('installing BIND and external-dns', async () => {
    const kubectl = new Kubectl(environment, DNS_NAMESPACE);
    const address = await dnsServer(environment);
    await kubectl.apply({ apiVersion: 'v1', kind: 'Namespace', metadata: { name: DNS_NAMESPACE } });
    const running = (one: string) => kubectl.run('rollout', 'status', one, `--timeout=${INSTALLED_MS_MAX}ms`);
    await kubectl.apply(...bind(images.bind));
    await Promise.all([forwardZone(environment, address), running(BIND_DEPLOYMENT)]);
    // It ends when it cannot read the zone, and the kubelet takes its time to start it again.
    await kubectl.apply(...externalDns(images.externalDns, address));
    await running(EXTERNAL_DNS_DEPLOYMENT);
  });
}

/** Its address: of the control plane's node, on the network of all nodes. */
export async function dnsServer(environment: TestEnvironment): Promise<string> {
  const known = addresses.get(environment.cluster.controlPlane);
  if (known !== undefined) return known;
  const address = await addressInEngine(environment.cluster.controlPlane);
  addresses.set(environment.cluster.controlPlane, address);
  return address;
}
const addresses = new Map<string, string>();

/** Of a container on the nodes' network. */
export async function addressInEngine(container: string): Promise<string> {
  const format = '{{range .NetworkSettings.Networks}}{{.IPAddress}} {{end}}';
  return (await run(['docker', 'inspect', '--format', format, container])).trim().split(' ')[0]!;
}

/** Statements of nsupdate(1), sent as one update. */
export async function nsupdate(environment: TestEnvironment, lines: readonly string[]): Promise<void> {
  const kubectl = new Kubectl(environment, DNS_NAMESPACE);
  const statements = ['server 127.0.0.1', `zone ${DOMAIN}`, ...lines, 'send'].join('\\n');
  const key = `hmac-sha256:${KEY_NAME}:${KEY}`;
  await kubectl.run(
    'exec',
    BIND_DEPLOYMENT,
    '--',
    'sh',
    '-c',
    `printf '${statements}\\n' | nsupdate -y ${key}`,
  );
}

/** Replicas of one of the two, and waits until it is so. */
export async function scale(
  environment: TestEnvironment,
  deployment: string,
  replicas: number,
): Promise<void> {
  const kubectl = new Kubectl(environment, DNS_NAMESPACE);
  await kubectl.run('scale', deployment, `--replicas=${replicas}`);
  await kubectl.run('rollout', 'status', deployment, `--timeout=${INSTALLED_MS_MAX}ms`);
  if (replicas > 0) return;
  // The deployment is content before its pod has ended.
  const app = deployment.split('/')[1]!;
  await kubectl.run(
    'wait',
    'pod',
    '--selector',
    `app=${app}`,
    '--for=delete',
    `--timeout=${INSTALLED_MS_MAX}ms`,
  );
}

const deployment = (name: string, spec: object): object => ({
  apiVersion: 'apps/v1',
  kind: 'Deployment',
  metadata: { name, namespace: DNS_NAMESPACE },
  spec: {
    replicas: 1,
    strategy: { type: 'Recreate' },
    selector: { matchLabels: { app: name } },
    template: {
      metadata: { labels: { app: name } },
      spec: {
        // No scenario takes this node away.
        nodeSelector: { 'node-role.kubernetes.io/control-plane': '' },
        tolerations: [{ operator: 'Exists' }],
        terminationGracePeriodSeconds: 2,
        ...spec,
      },
    },
  },
});

const secret = (name: string, stringData: Readonly<Record<string, string>>): object => ({
  apiVersion: 'v1',
  kind: 'Secret',
  metadata: { name, namespace: DNS_NAMESPACE },
  stringData,
});

/** Everything in the zone but its own records is external-dns's, or a test's. It is lost with the pod: so is external-dns tested. */
function bind(image: string): object[] {
  const configuration = `
    key "${KEY_NAME}" { algorithm hmac-sha256; secret "${KEY}"; };
    options {
      directory "/zones";
      recursion no; dnssec-validation no;
      listen-on port 53 { any; }; listen-on-v6 { none; };
      pid-file none; session-keyfile none;
    };
    controls { };
    zone "${DOMAIN}" {
      type master; file "/zones/zone"; notify no;
      update-policy { grant ${KEY_NAME} zonesub ANY; };
      allow-transfer { key ${KEY_NAME}; };
    };`;
  // The last number: how long a client remembers that there is no such name.
  const zone = ['$TTL 5', '@ IN SOA ns hostmaster ( 1 60 30 600 1 )', '@ IN NS ns', 'ns IN A 127.0.0.1', ''];
  return [
    secret('bind', { 'named.conf': configuration, zone: zone.join('\n') }),
    deployment('bind', {
      hostNetwork: true,
      containers: [
        {
          name: 'bind',
          image,
          imagePullPolicy: 'Never',
          args: [
            'sh',
            '-c',
            'cp /configuration/zone /zones/zone; exec named -g -c /configuration/named.conf',
          ],
          readinessProbe: {
            exec: { command: ['dig', '+short', '+time=1', '@127.0.0.1', DOMAIN, 'SOA'] },
            periodSeconds: 1,
          },
          volumeMounts: [
            { name: 'configuration', mountPath: '/configuration' },
            { name: 'zones', mountPath: '/zones' },
          ],
        },
      ],
      volumes: [
        { name: 'configuration', secret: { secretName: 'bind' } },
        { name: 'zones', emptyDir: {} },
      ],
    }),
  ];
}

/** Both of its sources that FilerPair has an answer for, as external-dns's own pages describe them. */
function externalDns(image: string, server: string): object[] {
  const rule = (apiGroup: string, resources: string[], ...verbs: string[]) => ({
    apiGroups: [apiGroup],
    resources,
    verbs,
  });
  const look = ['get', 'list', 'watch'];
  const rbac = 'rbac.authorization.k8s.io';
  const name = 'filerpair-e2e-external-dns';
  return [
    secret('tsig', { secret: KEY }),
    {
      apiVersion: 'v1',
      kind: 'ServiceAccount',
      metadata: { name: 'external-dns', namespace: DNS_NAMESPACE },
    },
    {
      apiVersion: `${rbac}/v1`,
      kind: 'ClusterRole',
      metadata: { name },
      rules: [
        rule('externaldns.k8s.io', ['dnsendpoints'], ...look),
        rule('externaldns.k8s.io', ['dnsendpoints/status'], '*'),
        rule('', ['services', 'pods', 'nodes'], ...look),
        rule('discovery.k8s.io', ['endpointslices'], ...look),
      ],
    },
    {
      apiVersion: `${rbac}/v1`,
      kind: 'ClusterRoleBinding',
      metadata: { name },
      subjects: [{ kind: 'ServiceAccount', name: 'external-dns', namespace: DNS_NAMESPACE }],
      roleRef: { kind: 'ClusterRole', name, apiGroup: rbac },
    },
    deployment('external-dns', {
      serviceAccountName: 'external-dns',
      containers: [
        {
          name: 'external-dns',
          image,
          imagePullPolicy: 'Never',
          env: [
            {
              name: 'EXTERNAL_DNS_RFC2136_TSIG_SECRET',
              valueFrom: { secretKeyRef: { name: 'tsig', key: 'secret' } },
            },
          ],
          args: [
            ...['--source=crd', '--source=service', `--domain-filter=${DOMAIN}`],
            ...['--managed-record-types=A', '--managed-record-types=CNAME'],
            ...[
              '--provider=rfc2136',
              `--rfc2136-host=${server}`,
              '--rfc2136-port=53',
              `--rfc2136-zone=${DOMAIN}`,
            ],
            ...[
              `--rfc2136-tsig-keyname=${KEY_NAME}`,
              '--rfc2136-tsig-secret-alg=hmac-sha256',
              '--rfc2136-tsig-axfr',
            ],
            '--rfc2136-min-ttl=1s',
            ...['--registry=txt', '--txt-owner-id=filerpair', '--txt-prefix=_edns-'],
            ...['--policy=sync', '--interval=1s'],
          ],
        },
      ],
    }),
  ];
}

/** The cluster's own DNS passes on what is asked about the zone; it reads its configuration when it starts. */
async function forwardZone(environment: TestEnvironment, server: string): Promise<void> {
  const kubectl = new Kubectl(environment, 'kube-system');
  const { data } = await kubectl.get<Thing & { data: { Corefile: string } }>('configmap', 'coredns');
  const block = `${DOMAIN}:53 {\n    errors\n    forward . ${server}\n}\n`;
  if (data.Corefile.includes(block)) return;
  const patch = JSON.stringify({ data: { Corefile: `${data.Corefile}\n${block}` } });
  await kubectl.run('patch', 'configmap', 'coredns', '--type=merge', `--patch=${patch}`);
  await kubectl.run('rollout', 'restart', 'deployment/coredns');
  await kubectl.run('rollout', 'status', 'deployment/coredns', `--timeout=${INSTALLED_MS_MAX}ms`);
}
