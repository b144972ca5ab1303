/**
 * An API server with its etcd as two processes of this machine, without nodes and controllers. That is enough for what it
 * decides by itself: schemas, admission policies, Pod Security levels and who may do what.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { generateKeyPairSync } from 'node:crypto';
import { once } from 'node:events';
import { closeSync, mkdtempSync, openSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { KubernetesClient } from '../../kubernetes/client.ts';
import { Connection, fromKubeconfig } from '../../kubernetes/connection.ts';
import { eventually } from '../../testing/eventually.ts';
import { readControlPlanePrograms } from '../environment.ts';
import { OPERATOR_NAMESPACE, RELEASE } from './installed-chart.ts';

/** Its own start of both takes seconds; a machine with much to do takes longer. */
const STARTED_MS_MAX = 240_000;

/** Known to everybody: they are of a server that lives for one test. */
const TOKENS = { admin: 'admin-token', tenant: 'tenant-token', operator: 'operator-token' } as const;
/** The account of the operator, as the chart names it. */
const OPERATOR = `system:serviceaccount:${OPERATOR_NAMESPACE}:${RELEASE}-operator`;
export type User = keyof typeof TOKENS;

export class ApiServer {
  readonly #directory: string;
  readonly #children: ChildProcess[] = [];
  readonly #connections: Connection[] = [];
  readonly #port: number;

  private constructor(directory: string, port: number) {
    this.#directory = directory;
    this.#port = port;
  }

  static async start(): Promise<ApiServer> {
    const [port, client, peer] = await Promise.all([freePort(), freePort(), freePort()]);
    const server = new ApiServer(mkdtempSync(join(tmpdir(), 'filerpair-api-')), port);
    try {
      await server.#run(client, peer);
      return server;
    } catch (error) {
      const said = readFileSync(join(server.#directory, 'log'), 'utf8').slice(-2000);
      await server.stop();
      throw new Error(`the API server did not start; it said: ${said}`, { cause: error });
    }
  }

  /**
   * What a pod of an administrator's account finds there, as the Kubernetes libraries look for it: files for the directory of the
   * account, and the environment.
   */
  inCluster(): {
    readonly files: Readonly<Record<string, string>>;
    readonly variables: Record<string, string>;
  } {
    const certificate = readFileSync(join(this.#directory, 'certificates/apiserver.crt'), 'utf8');
    return {
      files: { token: TOKENS.admin, 'ca.crt': certificate },
      variables: { KUBERNETES_SERVICE_HOST: '127.0.0.1', KUBERNETES_SERVICE_PORT: String(this.#port) },
    };
  }

  /** Of the administrator. */
  get kubeconfig(): string {
    return this.kubeconfigOf('admin');
  }

  /** Of a user: admin may do everything; operator what the chart lets it; what tenant may do has to be granted to `tenant`. */
  client(user: User): KubernetesClient {
    const connection = new Connection(fromKubeconfig(this.kubeconfigOf(user)));
    this.#connections.push(connection);
    return new KubernetesClient(connection);
  }

  async stop(): Promise<void> {
    for (const connection of this.#connections) connection.close();
    for (const child of this.#children.reverse()) {
      if (child.exitCode !== null || child.signalCode !== null) continue;
      const ended = once(child, 'exit');
      child.kill('SIGKILL');
      await ended;
    }
    rmSync(this.#directory, { recursive: true, force: true });
  }

  async #run(clientPort: number, peerPort: number): Promise<void> {
    const { etcd, apiServer } = readControlPlanePrograms();
    const at = (name: string): string => join(this.#directory, name);
    const { privateKey } = generateKeyPairSync('rsa', {
      modulusLength: 2048,
      publicKeyEncoding: { type: 'spki', format: 'pem' },
      privateKeyEncoding: { type: 'pkcs8', format: 'pem' },
    });
    writeFileSync(at('service-accounts.key'), privateKey, { mode: 0o600 });
    const users = [
      `${TOKENS.admin},admin,1,system:masters`,
      `${TOKENS.tenant},tenant,2`,
      `${TOKENS.operator},${OPERATOR},3`,
    ];
    writeFileSync(at('tokens.csv'), `${users.join('\n')}\n`, { mode: 0o600 });
    const etcdUrl = `http://127.0.0.1:${clientPort}`;
    const peerUrl = `http://127.0.0.1:${peerPort}`;
    this.#spawn(etcd, [
      `--data-dir=${at('etcd')}`,
      `--listen-client-urls=${etcdUrl}`,
      `--advertise-client-urls=${etcdUrl}`,
      `--listen-peer-urls=${peerUrl}`,
      `--initial-advertise-peer-urls=${peerUrl}`,
      `--initial-cluster=default=${peerUrl}`,
      // It holds what one test has made, for as long as the test runs.
      '--unsafe-no-fsync',
    ]);
    this.#spawn(apiServer, [
      `--etcd-servers=${etcdUrl}`,
      '--bind-address=127.0.0.1',
      '--advertise-address=127.0.0.1',
      `--secure-port=${this.#port}`,
      `--cert-dir=${at('certificates')}`,
      '--service-cluster-ip-range=10.96.0.0/16',
      '--service-account-issuer=https://kubernetes.default.svc',
      `--service-account-key-file=${at('service-accounts.key')}`,
      `--service-account-signing-key-file=${at('service-accounts.key')}`,
      `--token-auth-file=${at('tokens.csv')}`,
      '--authorization-mode=RBAC',
      // Made by a controller, of which there is none here.
      '--disable-admission-plugins=ServiceAccount',
      // As on any cluster with a CSI driver or a network plug-in; Pod Security levels decide who gets it.
      '--allow-privileged',
    ]);
    const admin = this.client('admin');
    const namespaces = {
      group: '',
      version: 'v1',
      plural: 'namespaces',
      kind: 'Namespace',
      namespaced: false,
    };
    await eventually('the API server answers', STARTED_MS_MAX, async () => {
      for (const child of this.#children)
        if (child.exitCode !== null) throw new Error(`${child.spawnfile} has ended (${child.exitCode})`);
      return admin.get(namespaces, { name: 'default' }).then(
        () => true,
        () => false,
      );
    });
  }

  #spawn(program: string, args: readonly string[]): void {
    const log = openSync(join(this.#directory, 'log'), 'a');
    this.#children.push(spawn(program, args, { stdio: ['ignore', log, log] }));
    closeSync(log);
  }

  /** A file for that user; `token`: instead of the user's own. */
  kubeconfigOf(user: User, token: string = TOKENS[user]): string {
    const path = join(this.#directory, `${user}-${token}.kubeconfig`);
    const config = {
      apiVersion: 'v1',
      kind: 'Config',
      'current-context': 'here',
      contexts: [{ name: 'here', context: { cluster: 'here', user } }],
      clusters: [
        {
          name: 'here',
          // It makes a certificate of its own, at a time nobody waits for.
          cluster: { server: `https://127.0.0.1:${this.#port}`, 'insecure-skip-tls-verify': true },
        },
      ],
      users: [{ name: user, user: { token } }],
    };
    writeFileSync(path, JSON.stringify(config), { mode: 0o600 });
    return path;
  }
}

/** Nobody listens on it now. */
async function freePort(): Promise<number> {
  const server = createServer();
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as { port: number };
  server.close();
  await once(server, 'close');
  return port;
}
