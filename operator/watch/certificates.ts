/**
 * Content of the Secrets with authority and certificates, as facts: who issued what, for which name, until when. Keys are
 * checked and left behind.
 */

import { createPrivateKey, X509Certificate } from 'node:crypto';
import type { KubernetesObject } from '../../kubernetes/objects.ts';
import type {
  AuthorityCertificate,
  AuthorityFacts,
  ServerCertificateFacts,
  Unusable,
} from '../model/certificate-upkeep.ts';
import { ISSUED_AT_ANNOTATION, TRUSTED_AT_ANNOTATION } from '../model/names.ts';

export interface Secret extends KubernetesObject {
  readonly data?: Readonly<Record<string, string>>;
}

export function authorityFacts(secret: Secret): AuthorityFacts | Unusable {
  const resourceVersion = secret.metadata.resourceVersion ?? '';
  try {
    const newest = withKey(secret, 'tls.crt', 'tls.key');
    const previous = certificatesIn(textOf(secret, 'previous.crt'));
    const previousSigns = previous[0] !== undefined && keyFits(previous[0], textOf(secret, 'previous.key'));
    return { resourceVersion, newest: described(newest), previous: previous.map(described), previousSigns };
  } catch {
    return { unusable: resourceVersion };
  }
}

/** `authorities`: of the pair; the certificate may come from one that its own Secret does not name. */
export function serverCertificateFacts(
  secret: Secret,
  dnsName: string,
  authorities: readonly AuthorityCertificate[],
): ServerCertificateFacts | Unusable {
  const { resourceVersion = '', annotations = {} } = secret.metadata;
  try {
    const own = withKey(secret, 'tls.crt', 'tls.key');
    const trusts = certificatesIn(textOf(secret, 'ca.crt'));
    const known = [...trusts, ...authorities.map(({ pem }) => new X509Certificate(pem))];
    const issuer = known.find((one) => own.checkIssued(one) && own.verify(one.publicKey));
    return {
      resourceVersion,
      issuer: issuer?.fingerprint256 ?? null,
      trusts: trusts.map(described),
      // As the servers look at it: a wildcard does not count, nor does the subject.
      named: own.checkHost(dnsName, { wildcards: false, subject: 'never' }) !== undefined,
      notAfter: Date.parse(own.validTo),
      issuedAt: timeOf(annotations[ISSUED_AT_ANNOTATION]),
      trustedAt: timeOf(annotations[TRUSTED_AT_ANNOTATION]),
    };
  } catch {
    return { unusable: resourceVersion };
  }
}

function withKey(secret: Secret, certificate: string, key: string): X509Certificate {
  const [first] = certificatesIn(textOf(secret, certificate));
  if (first === undefined || !keyFits(first, textOf(secret, key)))
    throw new Error('no certificate with its key');
  return first;
}

function keyFits(certificate: X509Certificate, key: string): boolean {
  try {
    return certificate.checkPrivateKey(createPrivateKey(key));
  } catch {
    return false;
  }
}

const textOf = ({ data }: Secret, key: string): string => Buffer.from(data?.[key] ?? '', 'base64').toString();

/** Throws if one cannot be read. */
export const certificatesIn = (text: string): X509Certificate[] =>
  (text.match(/-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----/g) ?? []).map(
    (pem) => new X509Certificate(pem),
  );

const described = (certificate: X509Certificate): AuthorityCertificate => ({
  fingerprint: certificate.fingerprint256,
  pem: certificate.toString(),
  notAfter: Date.parse(certificate.validTo),
});

function timeOf(text: string | undefined): number | null {
  const time = Date.parse(text ?? '');
  return Number.isNaN(time) ? null : time;
}
