/**
 * The Secrets of a pair. One has the keys that sign file handles: it is made once and stays with the claims, since without it
 * the handles that clients hold end. The others hold the certificates by which the two servers recognize each other.
 */

import { handleKeysName } from '../../kubernetes/labels-and-annotations.ts';
import type { KubernetesObject } from '../../kubernetes/objects.ts';
import { type Assessment, question } from '../assess/assessment.ts';
import { ownerReference, pairLabels } from '../desired/owned.ts';
import { HANDLE_KEY } from '../desired/server-config.ts';
import type { Action } from '../model/action.ts';
import {
  authorityLifetimeMs,
  type CertificateStep,
  certificateLifetimeMs,
  certificateUpkeep,
} from '../model/certificate-upkeep.ts';
import {
  authorityName,
  certificateDnsName,
  certificateName,
  ISSUED_AT_ANNOTATION,
  TRUSTED_AT_ANNOTATION,
} from '../model/names.ts';
import { serverNamed } from '../model/view.ts';

// Servers with certificates from elsewhere have the operator's as well: so a change of issuer never parts them while they
// restart one by one.

export interface Credentials {
  readonly actions: readonly Action[];
  readonly wakeAt: number | null;
}

export const reconcileCredentials = question((view: Assessment): Credentials => {
  const steps = certificateUpkeep(view.observed.credentials, view.now);
  // One step is seen before the next: nobody tells when a Secret changes.
  const wakeAt = steps.length === 0 ? null : view.now;
  return { actions: [...handleKeys(view), ...steps.map((step) => action(view, step))], wakeAt };
});

/** Without them no pod starts. Not owned by the FilerPair: the next one on the same claims serves the same handles. */
function handleKeys(view: Assessment): Action[] {
  if (view.observed.credentials.handleKeys !== 'absent') return [];
  const { ownerReferences: _, ...metadata } = secret(view, handleKeysName(view.observed.name)).metadata;
  const object = { apiVersion: 'v1', kind: 'Secret', metadata } as KubernetesObject;
  const why = 'file handles are signed with a key of the pair';
  return [{ kind: 'createSecret', resource: 'secrets', object, key: HANDLE_KEY, size: 32, why }];
}

function action(view: Assessment, step: CertificateStep): Action {
  const { name: pair, namespace } = view.observed;
  const { why } = step;
  switch (step.kind) {
    case 'make authority':
      return {
        kind: 'makeAuthority',
        resource: 'secrets',
        object: secret(view, authorityName(pair)),
        replaces: step.replaces,
        name: `${pair}.${namespace}`.slice(0, 64),
        lifetimeMs: authorityLifetimeMs,
        previous: step.previous,
        why,
      };
    case 'forget previous': {
      const metadata = { resourceVersion: step.resourceVersion };
      const patch = { metadata, data: { 'previous.crt': null, 'previous.key': null } };
      return { kind: 'patch', resource: 'secrets', namespace, name: authorityName(pair), patch, why };
    }
    case 'trust': {
      const { resourceVersion } = step;
      const metadata = { resourceVersion, annotations: { [TRUSTED_AT_ANNOTATION]: timeText(view.now) } };
      const patch = { metadata, data: { 'ca.crt': btoa(step.pems.join('')) } };
      const name = certificateName(pair, step.server);
      return { kind: 'patch', resource: 'secrets', namespace, name, patch, why };
    }
    case 'issue':
      return {
        kind: 'issueCertificate',
        resource: 'secrets',
        object: secret(view, certificateName(pair, step.server), step.server, {
          [ISSUED_AT_ANNOTATION]: timeText(view.now),
          [TRUSTED_AT_ANNOTATION]: timeText(view.now),
        }),
        replaces: step.replaces,
        authority: authorityName(pair),
        by: step.by,
        dnsName: certificateDnsName(serverNamed(view, step.server)?.serviceName ?? '', namespace),
        lifetimeMs: certificateLifetimeMs,
        why,
      };
  }
}

function secret(
  view: Assessment,
  name: string,
  server?: string,
  annotations?: Readonly<Record<string, string>>,
): KubernetesObject {
  return {
    apiVersion: 'v1',
    kind: 'Secret',
    metadata: {
      name,
      namespace: view.observed.namespace,
      labels: pairLabels(view, server),
      ...(annotations === undefined ? {} : { annotations }),
      ownerReferences: [ownerReference(view)],
    },
  };
}

const timeText = (now: number): string => new Date(now).toISOString();
