/** The chart on an API server without nodes, installed by helm: nothing of it runs, but the API server goes by it. */
import { rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { loadAllYaml } from '@kubernetes/client-node';
import type { KubernetesClient } from '../../kubernetes/client.ts';
import type { KubernetesObject } from '../../kubernetes/objects.ts';
import { resources } from '../../kubernetes/resource.ts';
import { REPOSITORY, readControlPlanePrograms } from '../environment.ts';
import { run } from '../machine/command.ts';

export const RELEASE = 'filerpair';
export const OPERATOR_NAMESPACE = 'filerpair-system';
/** Policies and definitions reach the admission of an API server some time after they are written. */
export const KNOWN_MS_MAX = 60_000;
/** A step of helm takes seconds; a machine with much to do takes longer. */
const HELM_MS_MAX = 240_000;

/** Nothing of the chart runs here: its images need a name only. */
const REGISTRY = 'registry.example.org/filerpair';

const CHART = join(REPOSITORY, 'helm/filerpair');

/** All objects of the chart with these values, as helm sends them. */
export const renderedText = (values: object): Promise<string> =>
  withValues(values, (file) => helm('template', RELEASE, CHART, '--values', file));

/** The same, parsed. */
export async function rendered(values: object): Promise<KubernetesObject[]> {
  return loadAllYaml(await renderedText(values)) as unknown as KubernetesObject[];
}

/** Installs the chart, or changes its values. */
export async function install(server: { readonly kubeconfig: string }, values: object): Promise<void> {
  await withValues(values, (file) =>
    helmOn(server, 'upgrade', '--install', RELEASE, CHART, '--create-namespace', '--values', file),
  );
}

/** @returns what it said */
export const helmOn = (
  server: { readonly kubeconfig: string },
  ...args: readonly string[]
): Promise<string> => helm(...args, '--kubeconfig', server.kubeconfig);

const helm = (...args: readonly string[]): Promise<string> =>
  run([readControlPlanePrograms().helm, ...args, '--namespace', OPERATOR_NAMESPACE], {
    timeoutMs: HELM_MS_MAX,
  });

async function withValues<T>(values: object, use: (file: string) => Promise<T>): Promise<T> {
  const file = join(tmpdir(), `filerpair-values-${process.pid}.json`);
  const image = { registry: REGISTRY, ...(values as { image?: object }).image };
  writeFileSync(file, JSON.stringify({ ...values, image }));
  try {
    return await use(file);
  } finally {
    rmSync(file);
  }
}

export async function makeNamespace(
  client: KubernetesClient,
  name: string,
  labels: Readonly<Record<string, string>> = {},
): Promise<void> {
  const object = { apiVersion: 'v1', kind: 'Namespace', metadata: { name, labels } };
  await client.apply(resources.namespaces, object, 'test');
}

/** What the API server says against a call; null: it does what is asked. */
export const refusal = (call: Promise<unknown>): Promise<string | null> =>
  call.then(
    () => null,
    (error: Error) => error.message,
  );
