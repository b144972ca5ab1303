/**
 * The part of a pod that FilerPair and FilerPairClass say (podTemplate), as fields of a pod. What the operator says itself
 * wins.
 */

import type { EffectiveServer } from '../model/effective-pair.ts';

type WithTemplate = Pick<EffectiveServer, 'podTemplate'>;

export const labelsOf = ({ podTemplate: { metadata } }: WithTemplate): Readonly<Record<string, string>> =>
  metadata?.labels ?? {};

export const annotationsOf = ({
  podTemplate: { metadata },
}: WithTemplate): Readonly<Record<string, string>> => metadata?.annotations ?? {};

/** Secrets with which the images of a pod of these servers are pulled; sorted, since the order of the list means nothing. */
export function pullSecrets(...servers: readonly WithTemplate[]): Record<string, unknown> {
  const names = servers.flatMap(({ podTemplate: { spec } }) =>
    (spec?.imagePullSecrets ?? []).map(({ name }) => name),
  );
  if (names.length === 0) return {};
  return { imagePullSecrets: [...new Set(names)].toSorted().map((name) => ({ name })) };
}

/** On which nodes, by whom, and how important. */
export function scheduling({ podTemplate: { spec = {} } }: WithTemplate): Record<string, unknown> {
  const { nodeSelector = {}, tolerations, priorityClassName, runtimeClassName, schedulerName } = spec;
  return {
    ...(Object.keys(nodeSelector).length === 0 ? {} : { nodeSelector }),
    ...(tolerations === undefined ? {} : { tolerations }),
    ...(priorityClassName === undefined ? {} : { priorityClassName }),
    ...(runtimeClassName === undefined ? {} : { runtimeClassName }),
    ...(schedulerName === undefined ? {} : { schedulerName }),
  };
}

export const resourcesOf = ({ podTemplate: { spec } }: WithTemplate, container: 'server' | 'sentinel') =>
  spec?.containers?.find(({ name }) => name === container)?.resources;
