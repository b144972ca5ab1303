/** Reads one object past the copies: for what carries no label of a pair, and for what may be newer than its copy. */

import { ApiError, isNotFound } from '../../kubernetes/api-error.ts';
import type { KubernetesClient } from '../../kubernetes/client.ts';
import type { KubernetesObject } from '../../kubernetes/objects.ts';
import type { Resource } from '../../kubernetes/resource.ts';

/** @returns 'absent' if the API says so, 'unknown' if it does not answer. */
export type DirectRead = <T extends KubernetesObject>(
  resource: Resource,
  namespace: string | undefined,
  name: string,
) => Promise<T | 'absent' | 'unknown'>;

export const directRead =
  (client: KubernetesClient): DirectRead =>
  (resource, namespace, name) =>
    client.get<never>(resource, { ...(namespace && { namespace }), name }).catch((error: unknown) => {
      if (isNotFound(error)) return 'absent' as const;
      if (error instanceof ApiError) return 'unknown' as const;
      throw error;
    });
