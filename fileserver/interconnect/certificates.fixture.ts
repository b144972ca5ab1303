/**
 * Certificates of a throw-away authority, for the servers of tests, of the demo and of benchmarks: made by the operator's own code,
 * in files as the kubelet lays them out.
 */
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { issueCertificate, type KeyPair, makeAuthority } from '../../operator/apply/certificate-authority.ts';
import type { CertificateFiles, TlsCredentials } from './credentials.ts';

const LIFETIME_MS = 24 * 3600_000;

/** DNS name in the certificate of a server. */
export const interconnectName = (server: string, namespace = 'storage'): string =>
  `${server}-interconnect.${namespace}.svc`;

/** Field `tls` of the configuration of `server`, for files below `directory`. */
export const certificateFiles = (directory: string, server: string, partner: string): CertificateFiles => ({
  directory: join(directory, `${server}-certificate`),
  name: interconnectName(server),
  partnerName: interconnectName(partner),
});

/** Writes what `certificateFiles` names, for both servers. */
export async function writeCertificates(
  directory: string,
  servers: readonly string[] = ['filer-a', 'filer-b'],
): Promise<void> {
  const authority = await makeAuthority('throw-away', Date.now(), LIFETIME_MS);
  for (const server of servers) {
    const name = interconnectName(server);
    const { certificate, key } = await issueCertificate(authority, name, Date.now(), LIFETIME_MS);
    const into = certificateFiles(directory, server, server).directory;
    mkdirSync(into, { recursive: true });
    writeFileSync(join(into, 'tls.crt'), certificate);
    writeFileSync(join(into, 'tls.key'), key);
    writeFileSync(join(into, 'ca.crt'), authority.certificate);
  }
}

/** The same as credentials in memory. */
export async function certified(by: KeyPair, server: string, partner: string): Promise<TlsCredentials> {
  return {
    directory: '',
    ...(await issueCertificate(by, interconnectName(server), Date.now(), LIFETIME_MS)),
    authorities: [by.certificate],
    partnerName: interconnectName(partner),
    expiresAt: Date.now() + LIFETIME_MS,
  };
}
