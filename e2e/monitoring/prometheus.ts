/**
 * A real Prometheus as a process of this machine. It finds operators and servers as the chart's PodMonitors do, and scrapes them
 * through the API server, since pods of kind have no route from here.
 */
import type { ChildProcess } from 'node:child_process';
import { copyFileSync, mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { stringify } from 'yaml';
import { type PrometheusPrograms, REPOSITORY, type TestEnvironment } from '../environment.ts';
import { run, start } from '../machine/command.ts';

export interface FiringAlert {
  readonly labels: Readonly<Record<string, string>>;
  readonly state: 'pending' | 'firing';
}

interface Answer<T> {
  readonly data: T;
}

export class Prometheus {
  readonly #child: ChildProcess;
  readonly #port: number;

  private constructor(child: ChildProcess, port: number) {
    this.#child = child;
    this.#port = port;
  }

  static async start({ prometheus }: PrometheusPrograms, environment: TestEnvironment): Promise<Prometheus> {
    const directory = join(REPOSITORY, '.cache/e2e/prometheus');
    rmSync(directory, { recursive: true, force: true });
    mkdirSync(directory, { recursive: true });
    const api = await credentials(environment, directory);
    copyFileSync(join(REPOSITORY, 'helm/filerpair/files/alerts.yaml'), join(directory, 'alerts.yaml'));
    writeFileSync(join(directory, 'prometheus.yaml'), stringify(configuration(environment, api)));
    const port = await freePort();
    const child = start(
      [
        prometheus,
        '--config.file=prometheus.yaml',
        '--storage.tsdb.path=data',
        `--web.listen-address=127.0.0.1:${port}`,
      ],
      { cwd: directory },
    );
    child.stderr?.resume();
    child.stdout?.resume();
    return new Prometheus(child, port);
  }

  /** Values of an instant query, by their labels; null while Prometheus does not answer. */
  async query(
    expression: string,
  ): Promise<readonly { labels: Record<string, string>; value: number }[] | null> {
    const query = new URLSearchParams({ query: expression });
    const answer = await this.#get<{ result: { metric: Record<string, string>; value: [number, string] }[] }>(
      `query?${query}`,
    );
    return answer?.result.map(({ metric, value }) => ({ labels: metric, value: Number(value[1]) })) ?? null;
  }

  async alerts(): Promise<readonly FiringAlert[]> {
    return (await this.#get<{ alerts: FiringAlert[] }>('alerts'))?.alerts ?? [];
  }

  stop(): Promise<void> {
    return new Promise((resolve) => {
      this.#child.once('close', () => resolve());
      this.#child.kill();
    });
  }

  async #get<T>(path: string): Promise<T | null> {
    try {
      const response = await fetch(`http://127.0.0.1:${this.#port}/api/v1/${path}`);
      return response.ok ? ((await response.json()) as Answer<T>).data : null;
    } catch {
      return null;
    }
  }
}

interface ApiAccess {
  readonly server: string;
  readonly tls: { readonly ca_file: string; readonly cert_file: string; readonly key_file: string };
}

/** The administrator's certificate, out of the cluster's kubeconfig. */
async function credentials({ kubectl, cluster }: TestEnvironment, directory: string): Promise<ApiAccess> {
  const text = await run([
    kubectl,
    '--kubeconfig',
    cluster.kubeconfig,
    'config',
    'view',
    '--raw',
    '-o',
    'json',
  ]);
  const config = JSON.parse(text) as {
    clusters: { cluster: { server: string; 'certificate-authority-data': string } }[];
    users: { user: { 'client-certificate-data': string; 'client-key-data': string } }[];
  };
  const { cluster: at } = config.clusters[0]!;
  const { user } = config.users[0]!;
  for (const [name, data] of [
    ['ca.crt', at['certificate-authority-data']],
    ['tls.crt', user['client-certificate-data']],
    ['tls.key', user['client-key-data']],
  ] as const)
    writeFileSync(join(directory, name), Buffer.from(data, 'base64'), { mode: 0o600 });
  return { server: at.server, tls: { ca_file: 'ca.crt', cert_file: 'tls.crt', key_file: 'tls.key' } };
}

function configuration({ cluster }: TestEnvironment, { server, tls }: ApiAccess): object {
  const job = (name: string, keep: readonly object[], port: string, relabel: readonly object[]): object => ({
    job_name: name,
    honor_labels: true,
    scheme: 'https',
    tls_config: tls,
    kubernetes_sd_configs: [{ role: 'pod', kubeconfig_file: cluster.kubeconfig }],
    relabel_configs: [
      ...keep,
      { source_labels: ['__meta_kubernetes_pod_container_port_name'], regex: port, action: 'keep' },
      { source_labels: ['__meta_kubernetes_namespace'], target_label: 'namespace' },
      { source_labels: ['__meta_kubernetes_pod_name'], target_label: 'pod' },
      ...relabel,
      {
        source_labels: [
          '__meta_kubernetes_namespace',
          '__meta_kubernetes_pod_name',
          '__meta_kubernetes_pod_container_port_number',
        ],
        separator: ';',
        regex: '(.+);(.+);(.+)',
        // biome-ignore lint/suspicious/noTemplateCurlyInString: Prometheus' own placeholders
        replacement: '/api/v1/namespaces/${1}/pods/${2}:${3}/proxy/metrics',
        target_label: '__metrics_path__',
      },
      { target_label: '__address__', replacement: new URL(server).host },
    ],
  });
  const label = (name: string): string => `__meta_kubernetes_pod_label_${name}`;
  return {
    global: { scrape_interval: '2s', evaluation_interval: '1s' },
    rule_files: ['alerts.yaml'],
    scrape_configs: [
      job(
        'operator',
        [{ source_labels: [label('app_kubernetes_io_name')], regex: 'filerpair-operator', action: 'keep' }],
        'health',
        [],
      ),
      job(
        'servers',
        [{ source_labels: [label('filerpair_dev_server')], regex: '.+', action: 'keep' }],
        'metrics',
        [
          { source_labels: [label('filerpair_dev_pair')], target_label: 'filerpair_dev_pair' },
          { source_labels: [label('filerpair_dev_server')], target_label: 'filerpair_dev_server' },
        ],
      ),
    ],
  };
}

function freePort(): Promise<number> {
  return new Promise((resolve, reject) => {
    const server = createServer();
    server.once('error', reject);
    server.listen(0, '127.0.0.1', () => {
      const { port } = server.address() as { port: number };
      server.close(() => resolve(port));
    });
  });
}
