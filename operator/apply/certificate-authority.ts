/**
 * Makes the certificates of the interconnect: an authority for each FilerPair, and one certificate for each server, which it
 * shows when it dials and when it answers. ECDSA on P-256: a signature costs a tenth of a millisecond.
 */

// @peculiar/x509 describes its classes with decorators, and needs this before it.
import 'reflect-metadata';
import type { webcrypto } from 'node:crypto';
import * as x509 from '@peculiar/x509';

const algorithm = { name: 'ECDSA', namedCurve: 'P-256', hash: 'SHA-256' };
/** Clocks differ, and a certificate is used in the second in which it is made. ms */
const BACKDATED_MS = 60 * 60_000;

export interface KeyPair {
  /** PEM. */
  readonly certificate: string;
  /** PEM, PKCS #8. */
  readonly key: string;
}

/** An authority that signs itself, and may sign servers' certificates and nothing else. */
export async function makeAuthority(name: string, now: number, lifetimeMs: number): Promise<KeyPair> {
  const keys = await crypto.subtle.generateKey(algorithm, true, ['sign', 'verify']);
  const certificate = await x509.X509CertificateGenerator.createSelfSigned({
    serialNumber: serialNumber(),
    name: [{ CN: [name] }, { O: ['FilerPair'] }],
    ...validity(now, lifetimeMs),
    signingAlgorithm: algorithm,
    keys,
    extensions: [
      new x509.BasicConstraintsExtension(true, 0, true),
      new x509.KeyUsagesExtension(x509.KeyUsageFlags.keyCertSign | x509.KeyUsageFlags.cRLSign, true),
      await x509.SubjectKeyIdentifierExtension.create(keys.publicKey),
    ],
  });
  return { certificate: pem(certificate), key: await keyPem(keys.privateKey) };
}

/** A server's certificate: for the DNS name by which its partner knows it. */
export async function issueCertificate(
  authority: KeyPair,
  dnsName: string,
  now: number,
  lifetimeMs: number,
): Promise<KeyPair> {
  const issuer = new x509.X509Certificate(authority.certificate);
  const signingKey = await crypto.subtle.importKey(
    'pkcs8',
    x509.PemConverter.decodeFirst(authority.key),
    algorithm,
    false,
    ['sign'],
  );
  const keys = await crypto.subtle.generateKey(algorithm, true, ['sign', 'verify']);
  const certificate = await x509.X509CertificateGenerator.create({
    serialNumber: serialNumber(),
    issuer: issuer.subjectName,
    // The name counts; a common name has at most 64 characters, and this is one for people.
    subject: [{ CN: [dnsName.slice(0, 64)] }, { O: ['FilerPair'] }],
    ...validity(now, lifetimeMs),
    signingAlgorithm: algorithm,
    signingKey,
    publicKey: keys.publicKey,
    extensions: [
      new x509.BasicConstraintsExtension(false, undefined, true),
      new x509.KeyUsagesExtension(x509.KeyUsageFlags.digitalSignature, true),
      new x509.ExtendedKeyUsageExtension([
        x509.ExtendedKeyUsage.serverAuth,
        x509.ExtendedKeyUsage.clientAuth,
      ]),
      new x509.SubjectAlternativeNameExtension([{ type: 'dns', value: dnsName }]),
      await x509.AuthorityKeyIdentifierExtension.create(issuer),
      await x509.SubjectKeyIdentifierExtension.create(keys.publicKey),
    ],
  });
  return { certificate: pem(certificate), key: await keyPem(keys.privateKey) };
}

/** 128 random bits, positive (RFC 5280 §4.1.2.2). */
function serialNumber(): string {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  bytes[0] = (bytes[0]! & 0x7f) | 0x01;
  return Buffer.from(bytes).toString('hex');
}

const validity = (now: number, lifetimeMs: number) => ({
  notBefore: new Date(now - BACKDATED_MS),
  notAfter: new Date(now + lifetimeMs),
});

const pem = (certificate: x509.X509Certificate): string => `${certificate.toString('pem')}\n`;

const keyPem = async (key: webcrypto.CryptoKey): Promise<string> =>
  `${x509.PemConverter.encode(await crypto.subtle.exportKey('pkcs8', key), 'PRIVATE KEY')}\n`;
