/**
 * The Secrets of a pair as far as decide() sees them, and what the operator's actions make of them: certificates without keys,
 * whose text is their name.
 */

import type { Action } from '../model/action.ts';
import type {
  AuthorityCertificate,
  AuthorityFacts,
  ServerCertificateFacts,
} from '../model/certificate-upkeep.ts';
import type { ObservedCredentials } from '../model/observed.ts';

type Made = Action & { kind: 'createSecret' | 'makeAuthority' | 'issueCertificate' };

export function withSecret(
  credentials: ObservedCredentials,
  action: Made,
  now: number,
  resourceVersion: string,
): ObservedCredentials {
  if (action.kind === 'createSecret') return { ...credentials, handleKeys: 'there' };
  if (action.kind === 'makeAuthority') {
    const before = credentials.authority as AuthorityFacts;
    const keeps = action.previous === 'the one that signs now';
    const previous = keeps ? [before.newest] : action.previous.map((pem) => named(pem, now));
    const newest = named(`authority-${resourceVersion}\n`, now + action.lifetimeMs);
    return { ...credentials, authority: { resourceVersion, newest, previous, previousSigns: keeps } };
  }
  const { newest, previous } = credentials.authority as AuthorityFacts;
  const issued: ServerCertificateFacts = {
    resourceVersion,
    issuer: action.by === 'newest' ? newest.fingerprint : previous[0]!.fingerprint,
    trusts: [newest, ...previous],
    named: true,
    notAfter: now + action.lifetimeMs,
    issuedAt: now,
    trustedAt: now,
  };
  const server = action.object.metadata.labels?.['filerpair.dev/server'] ?? '';
  return { ...credentials, servers: { ...credentials.servers, [server]: issued } };
}

export function withPatchedSecret(
  credentials: ObservedCredentials,
  { name, patch }: Action & { kind: 'patch' },
  now: number,
  resourceVersion: string,
): ObservedCredentials {
  if (name.endsWith('-interconnect-ca')) {
    const authority = credentials.authority as AuthorityFacts;
    return {
      ...credentials,
      authority: { ...authority, resourceVersion, previous: [], previousSigns: false },
    };
  }
  const [server] = /[ab]/.exec(name) ?? [''];
  const facts = credentials.servers[server] as ServerCertificateFacts;
  const pems = atob((patch as { data: { 'ca.crt': string } }).data['ca.crt']).match(/.*\n/g) ?? [];
  const trusts = pems.map((pem) => named(pem, facts.notAfter));
  const trusted = { ...facts, resourceVersion, trusts, trustedAt: now };
  return { ...credentials, servers: { ...credentials.servers, [server]: trusted } };
}

const named = (pem: string, notAfter: number): AuthorityCertificate => ({
  fingerprint: `of ${pem}`,
  pem,
  notAfter,
});
