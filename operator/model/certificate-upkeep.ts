/**
 * Steps for the certificates of a pair's interconnect, so that the two servers always trust each other while
 * certificates and authority change. Servers learn of a change when their kubelet exchanges the files, each at another time. So
 * nothing is used before both have had time to learn to trust it, and nothing is forgotten while it is used:
 */

//   new authority made ──> both servers trust both ──settled──> certificates from the new one ──settled──> old one goes
//
// Nothing is remembered between two steps but what stands in the Secrets themselves, so the operator may die anywhere.

export const DAY = 24 * 3600_000;
/** A server's certificate. Half of it is left when it is renewed: so long may no operator run without harm. */
export const certificateLifetimeMs = 14 * DAY;
const certificateRenewedMs = 7 * DAY;
export const authorityLifetimeMs = 730 * DAY;
const authorityRenewedMs = 365 * DAY;
/** Until every kubelet has given a changed Secret to its pods: it looks about once a minute, and its cache lags as much. */
export const SETTLED_MS = 10 * 60_000;

export interface AuthorityFacts {
  readonly resourceVersion: string;
  /** Signs, once both servers trust it. */
  readonly newest: AuthorityCertificate;
  /** Still trusted. */
  readonly previous: readonly AuthorityCertificate[];
  /** Whether the first of these can still sign: its key is there. */
  readonly previousSigns: boolean;
}

export interface AuthorityCertificate {
  readonly fingerprint: string;
  readonly pem: string;
  /** ms since the epoch. */
  readonly notAfter: number;
}

export interface ServerCertificateFacts {
  readonly resourceVersion: string;
  /** Fingerprint of the authority (of this Secret, or of the pair's) that issued it; null: none of these. */
  readonly issuer: string | null;
  /** Whom the server trusts. */
  readonly trusts: readonly AuthorityCertificate[];
  /** Whether its DNS name is the one that the partner expects. */
  readonly named: boolean;
  readonly notAfter: number;
  /** When certificate and trust were written last, ms since the epoch; null: unknown, so for long. */
  readonly issuedAt: number | null;
  readonly trustedAt: number | null;
}

/** `unusable`: it is there, and what is in it is no use; the resourceVersion is that of what shall be replaced. */
export type Unusable = { readonly unusable: string };
export type Seen<T> = T | Unusable | 'absent' | 'unknown';

export interface CertificateFacts {
  readonly authority: Seen<AuthorityFacts>;
  readonly servers: Readonly<Record<string, Seen<ServerCertificateFacts>>>;
}

export type CertificateStep =
  /** `replaces`: resourceVersion of what is there, null: nothing is. `previous`: what goes on being trusted. */
  | {
      readonly kind: 'make authority';
      readonly replaces: string | null;
      readonly previous: 'the one that signs now' | readonly string[];
      readonly why: string;
    }
  | { readonly kind: 'forget previous'; readonly resourceVersion: string; readonly why: string }
  | {
      readonly kind: 'trust';
      readonly server: string;
      readonly resourceVersion: string;
      readonly pems: readonly string[];
      readonly why: string;
    }
  | {
      readonly kind: 'issue';
      readonly server: string;
      readonly replaces: string | null;
      readonly by: 'newest' | 'previous';
      readonly why: string;
    };

const isThere = <T extends object>(seen: Seen<T>): seen is T =>
  typeof seen === 'object' && !('unusable' in seen);

/** In order. Nobody is woken for what time alone asks for: the operator looks at every pair every ten minutes. */
export function certificateUpkeep(facts: CertificateFacts, now: number): CertificateStep[] {
  const { authority } = facts;
  if (authority === 'unknown') return [];
  if (!isThere(authority)) return authorityLost(facts, authority);
  const servers = Object.entries(facts.servers);
  const there = servers.flatMap(([, seen]) => (isThere(seen) ? [seen] : []));
  const complete = there.length === servers.length;
  const { newest, previous } = authority;
  const settled = (at: number | null): boolean => (at ?? 0) + SETTLED_MS <= now;
  const trustsNewest = (one: ServerCertificateFacts): boolean =>
    one.trusts.some(({ fingerprint }) => fingerprint === newest.fingerprint);
  const steps: CertificateStep[] = [];
  const newestTrusted =
    there.every((one) => trustsNewest(one) && settled(one.trustedAt)) &&
    !servers.some(([, seen]) => seen === 'unknown');
  // Without the old key the new authority signs what has to be signed; what is good waits until both trust it.
  const newestSigns = newestTrusted || !authority.previousSigns;

  if (previous.length === 0 && newest.notAfter - authorityRenewedMs <= now) {
    const why = `the present one ends ${dayOf(newest.notAfter)}`;
    const { resourceVersion } = authority;
    // Alone: an authority that nobody trusts yet would sign what follows.
    return [{ kind: 'make authority', replaces: resourceVersion, previous: 'the one that signs now', why }];
  }
  for (const [server, seen] of servers) {
    if (seen === 'unknown') continue;
    const why = isThere(seen) ? whyIssue(seen, authority, newestTrusted, now) : 'it is missing';
    if (why !== null) {
      const replaces = seen === 'absent' ? null : isThere(seen) ? seen.resourceVersion : seen.unusable;
      steps.push({ kind: 'issue', server, replaces, by: newestSigns ? 'newest' : 'previous', why });
    } else if (isThere(seen) && !sameTrust(seen, authority)) {
      const { resourceVersion } = seen;
      const pems = [newest, ...previous].map(({ pem }) => pem);
      const why = 'the authorities of the pair have changed';
      steps.push({ kind: 'trust', server, resourceVersion, pems, why });
    }
  }
  const unused = there.every(({ issuer, issuedAt }) => issuer === newest.fingerprint && settled(issuedAt));
  if (previous.length > 0 && complete && unused) {
    const why = 'no server has a certificate of it any more';
    steps.push({ kind: 'forget previous', resourceVersion: authority.resourceVersion, why });
  }
  return steps;
}

/** The servers' authorities go on being trusted; only a new authority's certificates are different. */
function authorityLost({ servers }: CertificateFacts, seen: Unusable | 'absent'): CertificateStep[] {
  const all = Object.values(servers);
  // Which of their authorities is still needed could not be said.
  if (all.includes('unknown')) return [];
  const trusted = all.flatMap((one) => (isThere(one) ? one.trusts : []));
  const pems = [...new Map(trusted.map(({ fingerprint, pem }) => [fingerprint, pem])).values()];
  const replaces = seen === 'absent' ? null : seen.unusable;
  const why = replaces === null ? 'it is missing' : 'it cannot be used';
  // Pods wait for these; the rest has time until the new authority is seen.
  const missing = Object.entries(servers).flatMap(([server, one]): CertificateStep[] =>
    one === 'absent' ? [{ kind: 'issue', server, replaces: null, by: 'newest', why: 'it is missing' }] : [],
  );
  return [{ kind: 'make authority', replaces, previous: pems, why }, ...missing];
}

function whyIssue(
  { named, issuer, notAfter }: ServerCertificateFacts,
  { newest, previous }: AuthorityFacts,
  newestTrusted: boolean,
  now: number,
): string | null {
  if (!named) return 'it has not the name that the partner expects';
  if (notAfter - certificateRenewedMs <= now) return `it ends ${dayOf(notAfter)}`;
  if (issuer === newest.fingerprint) return null;
  if (!previous.some(({ fingerprint }) => fingerprint === issuer))
    return 'the pair does not know its authority';
  return newestTrusted ? 'both servers trust the new authority' : null;
}

function sameTrust({ trusts }: ServerCertificateFacts, { newest, previous }: AuthorityFacts): boolean {
  const prints = (of: readonly AuthorityCertificate[]) =>
    of
      .map(({ fingerprint }) => fingerprint)
      .toSorted()
      .join();
  return prints(trusts) === prints([newest, ...previous]);
}

const dayOf = (time: number): string => new Date(time).toISOString().slice(0, 10);
