/**
 * A registry with a certificate of its own authority, on an address that the nodes of the test cluster reach: what stands in for
 * the one that a reader of the README has.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { eventually } from '../../testing/eventually.ts';
import type { Cluster } from '../kind/cluster.ts';
import { outcomeOf, run } from '../machine/command.ts';
import { needPackages } from '../machine/debian-packages.ts';

const STARTED_MS_MAX = 60_000;
const SYSTEM_AUTHORITIES = '/etc/ssl/certs/ca-certificates.crt';

export class Registry {
  /** HOST:PORT */
  readonly address: string;
  /** For programs in Go: whom they trust. */
  readonly variables: Readonly<Record<string, string>>;
  readonly #directory: string;
  readonly #process: ChildProcess;

  private constructor(address: string, directory: string, process: ChildProcess) {
    this.address = address;
    this.#directory = directory;
    this.#process = process;
    this.variables = { SSL_CERT_FILE: join(directory, 'authorities.crt') };
  }

  static async start(cluster: Cluster): Promise<Registry> {
    await needPackages(['docker-registry', 'openssl', 'skopeo'], 'A registry to install from');
    const format = '{{range .NetworkSettings.Networks}}{{.Gateway}}{{end}}';
    const host = (await run(['docker', 'inspect', '--format', format, cluster.controlPlane])).trim();
    const port = await freePort(host);
    const address = `${host}:${port}`;
    const directory = mkdtempSync(join(tmpdir(), 'filerpair-registry-'));
    const at = (name: string): string => join(directory, name);
    const subject = ['-subj', '/CN=registry', '-addext', `subjectAltName=IP:${host}`];
    const keys = ['-newkey', 'rsa:2048', '-nodes', '-keyout', at('registry.key'), '-out', at('registry.crt')];
    await run(['openssl', 'req', '-x509', '-days', '2', ...keys, ...subject]);
    const authorities = [SYSTEM_AUTHORITIES, at('registry.crt')].map((file) => readFileSync(file, 'utf8'));
    writeFileSync(at('authorities.crt'), authorities.join('\n'));
    const configuration = {
      version: 0.1,
      storage: { filesystem: { rootdirectory: at('content') }, delete: { enabled: false } },
      http: { addr: address, tls: { certificate: at('registry.crt'), key: at('registry.key') } },
    };
    writeFileSync(at('registry.yaml'), JSON.stringify(configuration));
    const child = spawn('docker-registry', ['serve', at('registry.yaml')], { stdio: 'ignore' });
    const registry = new Registry(address, directory, child);
    try {
      const ask = ['skopeo', 'list-tags', `docker://${address}/none`];
      let said = '';
      await eventually(
        'the registry answers',
        STARTED_MS_MAX,
        async () => {
          if (child.exitCode !== null) throw new Error(`docker-registry ended with ${child.exitCode}`);
          said = (await outcomeOf(ask, { variables: registry.variables })).stderr;
          return said.includes('unknown') || said.includes('404');
        },
        () => said,
      );
      for (const node of [cluster.controlPlane, ...cluster.workers]) await registry.#trustedBy(node);
    } catch (error) {
      await registry.stop();
      throw error;
    }
    return registry;
  }

  async stop(): Promise<void> {
    if (this.#process.exitCode === null && this.#process.signalCode === null) {
      const ended = once(this.#process, 'exit');
      this.#process.kill('SIGTERM');
      await ended;
    }
    rmSync(this.#directory, { recursive: true, force: true });
  }

  /** As administrators of a cluster do it for a registry of their own. */
  async #trustedBy(node: string): Promise<void> {
    const directory = `/etc/containerd/certs.d/${this.address}`;
    const script = `
      mkdir -p ${directory}
      cat >${directory}/ca.crt
      cp ${directory}/ca.crt /etc/ssl/certs/filerpair-test-registry.crt
      printf 'server = "https://%s"\\n[host."https://%s"]\\n  ca = "%s/ca.crt"\\n' ${this.address} ${this.address} ${directory} >${directory}/hosts.toml`;
    const input = readFileSync(join(this.#directory, 'registry.crt'), 'utf8');
    await run(['docker', 'exec', '--interactive', node, 'sh', '-ec', script], { input });
  }
}

async function freePort(host: string): Promise<number> {
  const server = createServer();
  server.listen(0, host);
  await once(server, 'listening');
  const { port } = server.address() as { port: number };
  server.close();
  await once(server, 'close');
  return port;
}
