/**
 * A real Prometheus as a process of this machine. It scrapes operators and servers with the labels that the chart's PodMonitors give,
 * through the API server, since pods of kind have no route from here. Debian's has no discovery for Kubernetes.
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

/** A pod that is scraped, with the labels that its PodMonitor would give it. */
export interface ScrapedPod {
  readonly job: 'operator' | 'servers';
  readonly namespace: string;
  readonly pod: string;
  readonly port: number;
  readonly labels: Readonly<Record<string, string>>;
}

export interface ScrapedSeries {
  readonly labels: Readonly<Record<string, string>>;
  /** As they were scraped, the oldest first. */
  readonly samples: readonly (readonly [ms: number, value: number])[];
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

  static async start(
    { prometheus }: PrometheusPrograms,
    environment: TestEnvironment,
    targets: readonly ScrapedPod[],
  ): Promise<Prometheus> {
    const directory = join(REPOSITORY, '.cache/e2e/prometheus');
    rmSync(directory, { recursive: true, force: true });
    mkdirSync(directory, { recursive: true });
    const api = await credentials(environment, directory);
    copyFileSync(join(REPOSITORY, 'helm/filerpair/files/alerts.yaml'), join(directory, 'alerts.yaml'));
    writeFileSync(join(directory, 'prometheus.yaml'), stringify(configuration(api, targets)));
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

  /** All that was scraped of a metric between two times, ms since the epoch. */
  async samples(metric: string, from: number, to: number): Promise<readonly ScrapedSeries[]> {
    const query = new URLSearchParams({
      query: `${metric}[${Math.ceil((to - from) / 1000)}s]`,
      time: `${to / 1000}`,
    });
    const answer = await this.#get<{
      result: { metric: Record<string, string>; values: [number, string][] }[];
    }>(`query?${query}`);
    if (answer === null) throw new Error(`Prometheus does not answer for ${metric}`);
    return answer.result.map(({ metric: labels, values }) => ({
      labels,
      samples: values.map(([seconds, value]) => [seconds * 1000, Number(value)] as const),
    }));
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

function configuration({ server, tls }: ApiAccess, targets: readonly ScrapedPod[]): object {
  const { host } = new URL(server);
  const job = (name: ScrapedPod['job']): object => ({
    job_name: name,
    // As the chart's PodMonitors do.
    honor_labels: true,
    scheme: 'https',
    tls_config: tls,
    static_configs: targets
      .filter((target) => target.job === name)
      .map(({ namespace, pod, port, labels }) => ({
        targets: [host],
        labels: {
          __metrics_path__: `/api/v1/namespaces/${namespace}/pods/${pod}:${port}/proxy/metrics`,
          namespace,
          pod,
          ...labels,
        },
      })),
  });
  return {
    global: { scrape_interval: '2s', evaluation_interval: '1s' },
    rule_files: ['alerts.yaml'],
    scrape_configs: [job('operator'), job('servers')],
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
