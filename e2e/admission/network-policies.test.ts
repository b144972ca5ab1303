/**
 * Who reaches whom with the NetworkPolicies that the operator makes: real connections between network namespaces, which stand
 * for pods, through one that stands for their node. There kube-network-policies, with which kind's own plug-in enforces them,
 * decides about each new connection, by what a real API server tells it of policies, pods and namespaces.
 */
import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import koffi from 'koffi';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { resources } from '../../kubernetes/resource.ts';
import { networkPolicies } from '../../operator/desired/network-policies.ts';
import { containerPorts } from '../../operator/desired/ports.ts';
import { World } from '../../operator/plan/world.fixture.ts';
import { eventually } from '../../testing/eventually.ts';
import { readControlPlanePrograms } from '../environment.ts';
import { ApiServer } from './api-server.ts';
import { makeNamespace } from './installed-chart.ts';

const CLONE_NEWNET = 0x4000_0000;
/** Its default is another one. */
const QUEUE = 102;
const ENFORCED_MS_MAX = 60_000;
const NODE = 'node-1';
const serverOf = (server: string) => ({ 'filerpair.dev/pair': 'home', 'filerpair.dev/server': server });

interface Place {
  readonly namespace: string;
  readonly name: string;
  readonly labels: Readonly<Record<string, string>>;
}
const places: readonly Place[] = [
  { namespace: 'storage', name: 'a', labels: serverOf('a') },
  { namespace: 'storage', name: 'b', labels: serverOf('b') },
  { namespace: 'storage', name: 'neighbour', labels: { app: 'database' } },
  {
    namespace: 'storage',
    name: 'of-another-pair',
    labels: { ...serverOf('b'), 'filerpair.dev/pair': 'other' },
  },
  { namespace: 'monitoring', name: 'prometheus', labels: {} },
  // A user who may make pods elsewhere chooses their labels.
  { namespace: 'elsewhere', name: 'disguised', labels: serverOf('b') },
];
const PORTS = { primary: 2049, secondary: 2050, interconnect: 7420, metrics: 9090 } as const;
type Use = keyof typeof PORTS;
const everybody = places.slice(1).map(({ name }) => name);

const netns = (place: number): string => `fp-policies-${process.pid}-${place}`;
const addressOf = (place: number): string => `10.244.${place}.2`;
const sh = (script: string): string =>
  execFileSync('bash', ['-ec', script], { encoding: 'utf8', stdio: 'pipe' });

let api: ApiServer;
let account: string;
const children: ChildProcess[] = [];

/** A pod of its own network behind the node's, which listens on every port and says nothing. */
function connect(place: number): void {
  const [inside, gateway] = [netns(place), `10.244.${place}.1`];
  sh(`ip netns add ${inside}
    ip link add pod${place} type veth peer name eth0 netns ${inside}
    ip addr add ${gateway}/30 dev pod${place}
    ip link set pod${place} up
    ip -n ${inside} addr add ${addressOf(place)}/30 dev eth0
    ip -n ${inside} link set eth0 up
    ip -n ${inside} route add default via ${gateway}`);
  const listen = `for (const port of ${JSON.stringify(Object.values(PORTS))})
    require('node:net').createServer((socket) => socket.on('error', () => {}).resume()).listen(port)`;
  run('ip', ['netns', 'exec', inside, process.execPath, '-e', listen]);
}

function run(program: string, args: readonly string[], variables: Record<string, string> = {}): void {
  children.push(spawn(program, args, { stdio: 'ignore', env: { ...process.env, ...variables } }));
}

async function announce(place: number): Promise<void> {
  const admin = api.client('admin');
  const { namespace, name, labels } = places[place]!;
  const ports = (Object.keys(PORTS) as Use[]).map((use) => ({
    name: containerPorts[use],
    containerPort: PORTS[use],
    protocol: 'TCP',
  }));
  await admin.create(resources.pods, {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: { namespace, name, labels },
    spec: { nodeName: NODE, containers: [{ name: 'server', image: 'none', ports }] },
  });
  const podIP = addressOf(place);
  const status = { phase: 'Running', podIP, podIPs: [{ ip: podIP }] };
  await admin.mergePatch(resources.pods, { namespace, name }, { status }, { subresource: 'status' });
}

/** The account's files lie where the program looks for them, in a mount namespace of its own. */
function startEnforcer(): void {
  const { files, variables } = api.inCluster();
  account = mkdtempSync(join(tmpdir(), 'filerpair-policies-'));
  const directory = join(account, 'kubernetes.io/serviceaccount');
  mkdirSync(directory, { recursive: true });
  for (const [name, text] of Object.entries(files))
    writeFileSync(join(directory, name), text, { mode: 0o600 });
  const { policyEnforcer } = readControlPlanePrograms();
  const flags = `-disable-nri -nfqueue-id ${QUEUE} -hostname-override ${NODE} -metrics-bind-address 127.0.0.1:0`;
  const script = `mkdir -p /run/secrets; mount --bind ${account} /run/secrets; exec ${policyEnforcer} ${flags}`;
  run('unshare', ['--mount', 'bash', '-ec', script], variables);
}

const reaches = (from: number, to: number, port: number): boolean => {
  const attempt = `ip netns exec ${netns(from)} timeout 2 bash -c 'exec 3<>/dev/tcp/${addressOf(to)}/${port}'`;
  try {
    sh(attempt);
    return true;
  } catch {
    return false;
  }
};

/** Names of who reaches a there. */
const whoReaches = (use: Use): string[] =>
  places.flatMap(({ name }, from) => (from > 0 && reaches(from, 0, PORTS[use]) ? [name] : []));

describe.runIf(process.geteuid?.() === 0)('with the NetworkPolicies of a pair', () => {
  beforeAll(async () => {
    // Of this thread, and of what is started from here on.
    const unshare = koffi.load('libc.so.6').func('int unshare(int flags)') as (flags: number) => number;
    if (unshare(CLONE_NEWNET) !== 0) throw new Error(`unshare: errno ${koffi.errno()}`);
    sh('ip link set lo up; sysctl -qw net.ipv4.ip_forward=1');
    api = await ApiServer.start();
    const admin = api.client('admin');
    for (const namespace of new Set(places.map((place) => place.namespace)))
      await makeNamespace(admin, namespace);
    for (const place of places.keys()) {
      connect(place);
      await announce(place);
    }
    // Its own rule of nftables needs a part of the kernel that not every one has; this is the same one.
    sh(`iptables -I FORWARD -m conntrack --ctstate NEW -j NFQUEUE --queue-num ${QUEUE}`);
    startEnforcer();
    await eventually('connections pass the enforcer', ENFORCED_MS_MAX, async () =>
      everybody.every((_, from) => reaches(from + 1, 0, PORTS.interconnect)),
    );
    const world = new World();
    world.settings = { ...world.settings, metricsFrom: ['monitoring'] };
    for (const { object } of networkPolicies(world.view())!) {
      const { name, namespace } = object.metadata;
      await admin.create(resources.networkPolicies, {
        ...object,
        metadata: { name: name!, namespace: namespace! },
      });
    }
    await eventually(
      'the policies are in force',
      ENFORCED_MS_MAX,
      async () => !reaches(2, 0, PORTS.interconnect),
    );
  }, 400_000);

  afterAll(async () => {
    for (const child of children) child.kill('SIGKILL');
    for (const place of places.keys())
      execFileSync('ip', ['netns', 'del', netns(place)], { stdio: 'ignore' });
    await api?.stop();
    if (account !== undefined) rmSync(account, { recursive: true, force: true });
  });

  test('only its partner reaches a server’s interconnect', { timeout: 120_000 }, () => {
    expect(whoReaches('interconnect')).toEqual(['b']);
  });

  test('only a namespace that is named reaches its metrics', { timeout: 120_000 }, () => {
    expect(whoReaches('metrics')).toEqual(['prometheus']);
  });

  test('everybody reaches the ports for clients, whom shares let in', { timeout: 120_000 }, () => {
    expect(whoReaches('primary')).toEqual(everybody);
    expect(whoReaches('secondary')).toEqual(everybody);
  });

  test('others in the namespace are reached as before', { timeout: 120_000 }, () => {
    expect(reaches(4, 2, PORTS.metrics)).toBe(true);
  });
});
