/**
 * Claims and Secrets that a FilerPair did not make are used only if their owner says so, on them. A user who may create a
 * FilerPair may not be one who may read the claim or the Secret. A name in the spec is no consent, nor is one that happens to
 * be what a claim of the pair would be called.
 */

import { labels } from '../../kubernetes/labels-and-annotations.ts';
import { type ConditionResult, isFalse, isUnknown } from '../model/condition-result.ts';
import type { Claim } from '../model/objects.ts';
import { type Assessment, question } from './assessment.ts';

/** Made for this pair, had by it before, or offered to it. */
export function isClaimOffered(
  { observed: { name: pair, filerDiskSets } }: Assessment,
  claim: Claim,
): boolean {
  const { uid, labels: found } = claim.metadata;
  if (found?.[labels.pair] === pair || found?.[labels.offeredTo] === pair) return true;
  // Its labels were removed by hand: they come back.
  return filerDiskSets.some(({ spec }) => spec.claims?.some((one) => one.uid === uid));
}

export const howToOffer = (view: Assessment, kind: 'pvc' | 'secret', name: string): string =>
  `Whoever has it offers it: kubectl -n ${view.observed.namespace} label ${kind} ${name} ${labels.offeredTo}=${view.observed.name}`;

interface NamedSecret {
  readonly name: string;
  readonly field: string;
}

/** Those that the spec names, and where. */
function secretsOf(view: Assessment): NamedSecret[] {
  const { metricsTokenSecret: token } = view.effective;
  const certificates = view.servers.flatMap(({ name: server, certificateSecret: name }) =>
    name === null ? [] : [{ name, field: certificateField(view, server) }],
  );
  return token === null
    ? certificates
    : [...certificates, { name: token, field: 'monitoring.tokenSecretRef' }];
}

const certificateField = (view: Assessment, server: string): string =>
  view.effective.certificateIssuer === null
    ? `servers[${server}].interconnectCertificateRef`
    : 'interconnect.tls.source';

export const secretsOffered = question((view: Assessment): ConditionResult | null => {
  for (const { name, field } of secretsOf(view)) {
    const where = `Secret ${name} (spec.${field})`;
    const found = view.observed.credentials.offered[name] ?? 'unknown';
    if (found === 'unknown')
      return isUnknown('SecretUnknown', `The API did not say whether ${where} exists.`);
    if (found === 'absent') return missing(view, name, where);
    if (found === 'not offered')
      return isFalse(
        'SecretNotOffered',
        `${where} is not offered to this FilerPair, so no pod is made that would read it. ${howToOffer(view, 'secret', name)} (of cert-manager: Certificate.spec.secretTemplate.labels)`,
      );
  }
  return null;
});

function missing(view: Assessment, name: string, where: string): ConditionResult {
  const there = `${where} does not exist in namespace ${view.observed.namespace}`;
  const isRequested =
    view.effective.certificateIssuer !== null &&
    view.servers.some(({ certificateSecret }) => certificateSecret === name);
  if (!isRequested) return isFalse('SecretMissing', `${there}.`);
  return view.observed.certificatesServed
    ? isFalse('SecretMissing', `${there} yet: cert-manager makes it. See the status of Certificate ${name}.`)
    : isFalse(
        'CertManagerMissing',
        `${there}: interconnect.tls.source is CertManager, and the cluster has no Certificates (cert-manager.io/v1), or the operator may not use them. Install cert-manager, or choose another source.`,
      );
}
