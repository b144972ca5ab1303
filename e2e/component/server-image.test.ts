/**
 * The server's image on the engine alone, without a cluster. It refuses a wrong configuration, it serves, a pair of containers
 * fails over, and a frozen container cannot write when it thaws.
 */

import { chmodSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import {
  GenericContainer,
  Network,
  type StartedNetwork,
  type StartedTestContainer,
  Wait,
} from 'testcontainers';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { FilerPairClient } from '../../client/index.ts';
import type { Status } from '../../fileserver/agent/status.ts';
import { certificateFiles, writeCertificates } from '../../fileserver/interconnect/certificates.fixture.ts';
import { eventually } from '../../testing/eventually.ts';
import { REPOSITORY, readEnvironment } from '../environment.ts';
import { EXPORTS, partnerOf, SERVERS, type Server } from '../harness/pair.ts';
import { GUARD_MS, HEARTBEAT_MS, LEASE_MS } from '../harness/timeouts.ts';
import { outcomeOf, run } from '../machine/command.ts';

const image = readEnvironment().images.fileserver;
const SERVER = '/app/dist/fileserver/main.js';
const SENTINEL = '/app/dist/fileserver/sentinel/main.js';
const STARTED_MS_MAX = 60_000;
const CLIENT_MS_MAX = 15_000;

let directory: string;
beforeAll(() => {
  mkdirSync(join(REPOSITORY, '.cache/e2e'), { recursive: true });
  directory = mkdtempSync(join(REPOSITORY, '.cache/e2e/component-'));
});
afterAll(() => rmSync(directory, { recursive: true, force: true }));

/** As both servers see it: /pair in the container is `directory` of this machine. */
function configuration(server: Server, change: object = {}): object {
  const partner = partnerOf(server);
  return {
    pair: 'home',
    server,
    partner,
    partnerAddress: { host: partner },
    runDir: `/pair/run/${server}`,
    tls: certificateFiles('/pair', server, partner),
    timing: { leaseMs: LEASE_MS, guardMs: GUARD_MS, heartbeatMs: HEARTBEAT_MS },
    witness: { kind: 'embedded', directory: '/pair/witness' },
    diskSets: Object.fromEntries(
      SERVERS.map((home) => [
        home,
        {
          volumes: [{ name: 'data', path: `/pair/volumes/${home}` }],
          exports: [{ path: EXPORTS[home], volume: 'data', squash: 'None' }],
        },
      ]),
    ),
    log: { format: 'text' },
    ...change,
  };
}

describe('a configuration that cannot work ends the server with one sentence that names the field', () => {
  test.for([
    ['no configuration at all', undefined, 'ENOENT'],
    ['text that is not JSON', 'lease: 2s', 'is not JSON'],
    ['a misspelt field', { leese: 1 }, 'leese'],
    ['a partner that is the server itself', { partner: 'a' }, 'partner'],
    [
      'a lease shorter than three heartbeats',
      { timing: { leaseMs: 500, heartbeatMs: 200 } },
      'timing.leaseMs',
    ],
    ['one port for two things', { listen: { primary: 2049, secondary: 2049 } }, 'listen'],
    ['a port that is none', { listen: { primary: 70_000 } }, 'listen.primary'],
    ['a missing disk set', { diskSets: {} }, 'diskSets'],
  ] as const)('%s', async ([name, change, named]) => {
    const file = join(directory, 'wrong.json');
    rmSync(file, { force: true });
    if (typeof change === 'string') writeFileSync(file, change);
    else if (change !== undefined) writeFileSync(file, JSON.stringify(configuration('a', change)));
    const ended = await outcomeOf(
      [
        'docker',
        'run',
        '--rm',
        '--volume',
        `${directory}:/pair`,
        image,
        'node',
        SERVER,
        '--config',
        '/pair/wrong.json',
      ],
      { timeoutMs: STARTED_MS_MAX },
    );
    expect(ended.code, name).toBe(2);
    expect(ended.stderr).toContain(named);
    expect(ended.stderr.trim().split('\n')).toHaveLength(1);
    expect(ended.stdout).toBe('');
  });
});

test('the image keeps the licences of all that is in the image, and says what that is', async () => {
  // koffi's library comes in a package of its own, under koffi's licence; stream-buffers is in the public domain.
  const program = `
    const { existsSync, readdirSync, readFileSync } = require('node:fs');
    const installed = readdirSync('/app/node_modules').flatMap((name) =>
      name.startsWith('.') ? [] : name.startsWith('@') ? readdirSync('/app/node_modules/' + name).map((one) => name + '/' + one) : [name]);
    const { bundled } = JSON.parse(readFileSync('/app/packages.json', 'utf8'));
    const places = new Map([
      ...installed.map((name) => [name, '/app/node_modules/' + name]),
      ...bundled.map((path) => [path.replace(/^.*node_modules./, ''), '/app/licences/' + path.replaceAll('node_modules/', '')]),
    ]);
    const packages = [...places.keys()];
    const without = packages.filter((name) => !/^@koromix|^stream-buffers$/.test(name) && !(existsSync(places.get(name)) && readdirSync(places.get(name)).some((file) => /^(licen[cs]e|copying)/i.test(file))));
    const system = ['libc6', 'libstdc++6', 'tini'].filter((name) => !existsSync('/usr/share/doc/' + name + '/copyright'));
    const node = ['/usr/share/doc/node/copyright', '/usr/local/LICENSE'].some((file) => existsSync(file));
    const { bomFormat, components } = JSON.parse(readFileSync('/app/sbom.cdx.json', 'utf8'));
    const listed = new Set(components.map(({ name }) => name));
    const unlisted = packages.filter((name) => !listed.has(name));
    const own = readFileSync('/app/LICENSE', 'utf8').includes('Apache License');
    console.log(JSON.stringify({ without, system, node, bomFormat, unlisted, own, many: packages.length > 50 }));`;
  const outcome = await outcomeOf(['docker', 'run', '--rm', image, 'node', '-e', program], {
    timeoutMs: STARTED_MS_MAX,
  });
  expect(JSON.parse(outcome.stdout)).toEqual({
    without: [],
    system: [],
    node: true,
    bomFormat: 'CycloneDX',
    unlisted: [],
    own: true,
    many: true,
  });
});

describe('a pair of containers', () => {
  let network: StartedNetwork;
  const servers = new Map<Server, StartedTestContainer>();
  const sentinels = new Map<Server, string>();

  beforeAll(async () => {
    network = await new Network().start();
    mkdirSync(join(directory, 'witness'), { recursive: true });
    await writeCertificates(directory);
    for (const server of SERVERS) {
      mkdirSync(join(directory, 'volumes', server), { recursive: true });
      chmodSync(join(directory, 'volumes', server), 0o777);
      mkdirSync(join(directory, 'run', server), { recursive: true });
      writeFileSync(join(directory, `${server}.json`), JSON.stringify(configuration(server)));
    }
    for (const server of SERVERS) servers.set(server, await startServer(server));
    for (const server of SERVERS) sentinels.set(server, await startSentinel(server));
    await Promise.all(SERVERS.map((server) => serves(server, server)));
  });
  afterAll(async () => {
    for (const id of sentinels.values()) await run(['docker', 'rm', '--force', id]);
    for (const container of servers.values()) await container.stop({ timeout: 1000 }).catch(() => {});
    await network?.stop();
  });

  function startServer(server: Server): Promise<StartedTestContainer> {
    return (
      new GenericContainer(image)
        .withNetwork(network)
        .withNetworkAliases(server)
        .withBindMounts([{ source: directory, target: '/pair' }])
        // What a pod's securityContext adds: open_by_handle_at(2) is for those who may read everything.
        .withAddedCapabilities('DAC_READ_SEARCH')
        // Docker's own profile before 23.0 forbids name_to_handle_at(2); that of containerd, in pods, allows it.
        .withSecurityOpt('seccomp=unconfined')
        .withCommand(['node', SERVER, '--config', `/pair/${server}.json`])
        .withWaitStrategy(Wait.forLogMessage(/Status and metrics on port/))
        .withStartupTimeout(STARTED_MS_MAX)
        .start()
    );
  }

  /** In the server's process namespace, as in a pod; testcontainers has no word for that. */
  async function startSentinel(server: Server): Promise<string> {
    const id = servers.get(server)!.getId();
    const shared = [
      '--pid',
      `container:${id}`,
      '--network',
      `container:${id}`,
      '--volume',
      `${directory}:/pair`,
    ];
    const command = ['node', SENTINEL, '--config', `/pair/${server}.json`];
    return (await run(['docker', 'run', '--detach', ...shared, image, ...command])).trim();
  }

  const address = (server: Server) => servers.get(server)!.getIpAddress(network.getName());

  /** The library's client, which finds the serving port by itself. */
  function connect(server: Server): Promise<FilerPairClient> {
    const url = `nfs://${address(server)}:2049:2050${EXPORTS[server]}?failover=${address(partnerOf(server))}`;
    return FilerPairClient.connect(url, { callTimeoutMs: CLIENT_MS_MAX });
  }

  function statusOf(server: Server): Promise<string> {
    return fetch(`http://${address(server)}:9090/status`).then(
      (reply) => reply.text(),
      () => '',
    );
  }

  async function serves(server: Server, home: Server): Promise<void> {
    await eventually(
      `${server} serves the disk set of ${home}`,
      STARTED_MS_MAX,
      async () => {
        const text = await statusOf(server);
        const sets = text === '' ? [] : (JSON.parse(text) as Status).diskSets;
        return sets.some((set) => set.home === home && set.owner === server && set.phase === 'open');
      },
      // The server's own words; docker prints its standard error apart.
      async () => (await outcomeOf(['docker', 'logs', '--tail', '12', servers.get(server)!.getId()])).stdout,
    );
  }

  test('serves files over the network', async () => {
    const client = await connect('a');
    try {
      await client.writeFile('hello', 'from outside the container\n');
      expect((await client.readFile('hello')).toString()).toBe('from outside the container\n');
    } finally {
      await client.close();
    }
  });

  test('answers health, readiness and metrics', async () => {
    const get = (path: string) => fetch(`http://${address('a')}:9090${path}`);
    expect((await get('/healthz')).status).toBe(200);
    expect((await get('/readyz')).status).toBe(200);
    expect(await (await get('/metrics')).text()).toMatch(/^filerpair_/m);
  });

  test('a container frozen beyond its right is dead before it can write again, and its partner has taken over', async () => {
    const client = await connect('a');
    const id = servers.get('a')!.getId();
    try {
      await client.writeFile('before', 'the freeze');
      await run(['docker', 'pause', id]);
      await serves('b', 'a');
      await client.writeFile('during', 'the freeze');
      await run(['docker', 'unpause', id]);
      const code = await run(['docker', 'wait', id], { timeoutMs: STARTED_MS_MAX });
      // 128 + SIGKILL: the kernel's timer, not the server's own decision. Tini passes it on.
      expect(code.trim()).toBe('137');
      expect((await client.readFile('before')).toString()).toBe('the freeze');
      expect((await client.readFile('during')).toString()).toBe('the freeze');
    } finally {
      await client.close();
    }
  });
});
