/** Settings that the operator gets through its environment (the chart sets it). */

import { z } from 'zod';

/** Separated by commas. */
const namespaces = z
  .string()
  .default('')
  .transform((text) => text.split(',').filter((one) => one !== ''));

const settings = z.object({
  FILESERVER_IMAGE: z.string().min(1),
  IMAGE_PULL_POLICY: z.enum(['Always', 'IfNotPresent', 'Never']).default('IfNotPresent'),
  /** Whether every pair gets NetworkPolicies. */
  NETWORK_POLICIES: z.enum(['true', 'false']).default('true'),
  /** Namespaces from which metrics of servers may be read. */
  METRICS_FROM: namespaces,
  /** Namespaces whose FilerPairs are looked after; none: all. */
  WATCH_NAMESPACES: namespaces,
  POD_NAME: z.string().min(1).default('filerpair-operator'),
  POD_NAMESPACE: z.string().min(1).optional(),
  LEADER_ELECTION: z.enum(['true', 'false']).default('true'),
  /** Whether to publish records where ExternalDNS is installed. */
  PUBLISH_DNS: z.enum(['true', 'false']).default('true'),
  /** Whether to ask cert-manager for certificates where it is installed. */
  CERT_MANAGER: z.enum(['true', 'false']).default('false'),
  HEALTH_PORT: z.coerce.number().int().min(1).max(65535).default(8080),
  LOG_LEVEL: z.enum(['error', 'warn', 'info', 'debug']).default('info'),
  /** Only outside a cluster. */
  KUBECONFIG: z.string().min(1).optional(),
  KUBERNETES_SERVICE_HOST: z.string().optional(),
});

export type Settings = z.output<typeof settings>;

/** Settings, or a sentence that names the variable and what is wrong with it. */
export function readSettings(environment: Readonly<Record<string, string | undefined>>): Settings | string {
  const parsed = settings.safeParse(environment);
  if (parsed.success) return parsed.data;
  const [issue] = parsed.error.issues;
  return `environment variable ${issue?.path.join('.')}: ${issue?.message}`;
}
