/** The kubeconfig that is meant, read as kubectl reads it; what is wrong with it is one sentence. */
import { readFile, stat } from 'node:fs/promises';
import { homedir } from 'node:os';
import { delimiter, join } from 'node:path';
import { env } from 'node:process';
import type { KubeConfig } from '@kubernetes/client-node';
import { parseDocument } from 'yaml';
import {
  defaultKubeconfig,
  fromKubeconfig,
  inCluster,
  type LoadKubeConfig,
} from '../../../kubernetes/connection.ts';
import { CommandError, type Flags } from '../command.ts';
import { didYouMean } from '../similar.ts';

export interface Kubeconfig {
  readonly load: LoadKubeConfig;
  /** Its name; `in-cluster` for the service account of a pod. */
  readonly context: string;
  readonly namespace: string | undefined;
  /** URL of the API server. */
  readonly server: string;
}

const SERVICE_ACCOUNT = '/var/run/secrets/kubernetes.io/serviceaccount/token';

/** Throws CommandError with one sentence. */
export async function findKubeconfig(flags: Flags): Promise<Kubeconfig> {
  const { kubeconfig: named, context } = flags;
  const wanted = typeof context === 'string' ? context : undefined;
  if (typeof named === 'string')
    return checked([named], (await found([named])).length, fromKubeconfig(named, wanted), wanted);
  const variable = env['KUBECONFIG'] ?? '';
  const listed = variable.split(delimiter).filter((file) => file !== '');
  if (listed.length > 0) {
    const there = await found(listed);
    return checked(listed, there.length, defaultKubeconfig(wanted), wanted);
  }
  const usual = join(homedir(), '.kube', 'config');
  if ((await found([usual])).length > 0) return checked([usual], 1, defaultKubeconfig(wanted), wanted);
  if ((await found([SERVICE_ACCOUNT])).length > 0)
    return described(inCluster, await inCluster(), 'the service account of this pod');
  throw new CommandError(
    `there is no kubeconfig: KUBECONFIG is not set and ${usual} does not exist; name one with --kubeconfig FILE`,
  );
}

/** Contexts of the kubeconfig that the flags select, whatever else is wrong with it. */
export async function contextNames(flags: Flags): Promise<string[]> {
  const { kubeconfig } = flags;
  const load = typeof kubeconfig === 'string' ? fromKubeconfig(kubeconfig) : defaultKubeconfig();
  return (await load()).getContexts().map(({ name }) => name);
}

async function found(files: readonly string[]): Promise<string[]> {
  const isThere = await Promise.all(
    files.map((file) =>
      stat(file).then(
        () => true,
        () => false,
      ),
    ),
  );
  return files.filter((_, i) => isThere[i]);
}

async function checked(
  files: readonly string[],
  there: number,
  load: LoadKubeConfig,
  context: string | undefined,
): Promise<Kubeconfig> {
  const name = files.join(' and ');
  if (there < files.length) {
    const missing = files.filter((file) => file !== '');
    throw new CommandError(`kubeconfig ${missing.join(' or ')} does not exist`);
  }
  for (const file of files) await checkText(file);
  const config = await load().catch((error: unknown) => {
    throw new CommandError(`kubeconfig ${name} is not valid: ${messageOf(error)}`);
  });
  return described(load, config, `kubeconfig ${name}`, context);
}

/** Messages of a YAML parser go over several lines, with a picture. */
async function checkText(file: string): Promise<void> {
  const text = await readFile(file, 'utf8').catch((error: NodeJS.ErrnoException) => {
    const reasons: Readonly<Record<string, string>> = {
      EACCES: 'permission denied',
      EISDIR: 'it is a directory',
    };
    throw new CommandError(`kubeconfig ${file} can't be read: ${reasons[error.code ?? ''] ?? error.message}`);
  });
  if (text.trim() === '') throw new CommandError(`kubeconfig ${file} is empty: it names no cluster`);
  const document = parseDocument(text, { prettyErrors: true });
  const [error] = document.errors;
  if (error !== undefined) {
    const line = error.linePos?.[0].line;
    const [reason] = error.message.split(/ at line |\n/);
    throw new CommandError(
      `kubeconfig ${file} is not valid YAML${line === undefined ? '' : `, line ${line}`}: ${reason}`,
    );
  }
  const value: unknown = document.toJS();
  if (typeof value !== 'object' || value === null || Array.isArray(value))
    throw new CommandError(`${file} is not a kubeconfig`);
}

function described(load: LoadKubeConfig, config: KubeConfig, source: string, wanted?: string): Kubeconfig {
  const contexts = config.getContexts().map(({ name }) => name);
  const current = wanted ?? config.getCurrentContext();
  const choice = contexts.length === 0 ? '' : `; choose one with --context: ${contexts.join(', ')}`;
  if (!current)
    throw new CommandError(
      contexts.length === 0 ? `${source} names no cluster` : `${source} has no current context${choice}`,
    );
  const context = config.getContextObject(current);
  if (context === null)
    throw new CommandError(`${source} has no context ${current}${didYouMean(current, contexts) || choice}`);
  const cluster = config.getCluster(context.cluster);
  if (cluster === null)
    throw new CommandError(
      `${source}: context ${current} names a cluster "${context.cluster}", which is not in it`,
    );
  if (!URL.canParse(cluster.server))
    throw new CommandError(
      `${source}: the server of cluster ${cluster.name} is "${cluster.server}", which is no URL`,
    );
  const { protocol } = new URL(cluster.server);
  if (protocol !== 'https:' && !(protocol === 'http:' && cluster.skipTLSVerify))
    throw new CommandError(
      `${source}: the server of cluster ${cluster.name} is ${cluster.server}: an https:// URL is needed (or insecure-skip-tls-verify: true)`,
    );
  return { load, context: current, namespace: context.namespace ?? undefined, server: cluster.server };
}

const messageOf = (error: unknown): string =>
  (error instanceof Error ? error.message : String(error)).split('\n')[0]!;
