/**
 * The pod's own service account, as the API transport asks for it: the address from the environment that every pod has, CA and
 * token from the files that the kubelet keeps fresh.
 */

import { readFile } from 'node:fs/promises';
import type { RequestOptions } from 'node:https';
import { join } from 'node:path';
import type { KubeConfig } from '@kubernetes/client-node';
import type { LoadKubeConfig } from '../../kubernetes/connection.ts';
import { inBackground } from '../system/turns.ts';

// @kubernetes/client-node could do it; loading it costs a server 0.7 s of CPU at every start, on the way to its first
// claim, and 80 MB for as long as it runs.

export const SERVICE_ACCOUNT_DIRECTORY = '/var/run/secrets/kubernetes.io/serviceaccount';
/** The kubelet replaces a token well before it expires, so one that is a minute old is good. */
const REREAD_MS = 60_000;

export interface PodAccount {
  /** KUBERNETES_SERVICE_HOST: an IP address, so no name server is asked. */
  readonly host: string;
  /** KUBERNETES_SERVICE_PORT. */
  readonly port: string;
  readonly directory: string;
}

interface Credentials {
  readonly ca: string;
  readonly token: string;
  readonly readAt: number;
}

/** The part of a KubeConfig that kubernetes/connection.ts uses. */
type Used = Pick<KubeConfig, 'getCurrentCluster' | 'applyToHTTPSOptions' | 'getCurrentContext'>;

export function podAccount(account: PodAccount): LoadKubeConfig {
  return async () => {
    const read = async (): Promise<Credentials> => {
      const [ca, token] = await Promise.all(
        ['ca.crt', 'token'].map((name) => readFile(join(account.directory, name), 'utf8')),
      );
      return { ca: ca!, token: token!.trim(), readAt: performance.now() };
    };
    let credentials = await read();
    let reading = false;
    const refresh = async (): Promise<void> => {
      if (reading || performance.now() - credentials.readAt < REREAD_MS) return;
      reading = true;
      credentials = await read().catch(() => ({ ...credentials, readAt: performance.now() }));
      reading = false;
    };
    const host = account.host.includes(':') ? `[${account.host}]` : account.host;
    const config: Used = {
      getCurrentContext: () => 'pod',
      getCurrentCluster: () => ({
        name: 'pod',
        server: `https://${host}:${account.port}`,
        skipTLSVerify: false,
      }),
      applyToHTTPSOptions: async (options: RequestOptions) => {
        options.ca = credentials.ca;
        options.headers = { ...(options.headers as object), Authorization: `Bearer ${credentials.token}` };
        // Beside the request, not before it: a disk that hangs must not hold up a renewal.
        inBackground(refresh());
      },
    };
    return config as KubeConfig;
  };
}
