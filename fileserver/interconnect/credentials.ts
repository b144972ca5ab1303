/**
 * With what a server proves to its partner who it is, and recognizes it: a certificate (TLS), a key that both know, or
 * both. They come from files that may change at any time (on Kubernetes a Secret's, which the kubelet exchanges), so
 * they are read again every second: new connections use the new ones at once, and nothing has to be started again.
 *
 *   certificate only   the partner must show one too
 *   key only           outside Kubernetes: HMAC over TCP, as all pairs had it before there were certificates
 *   both               certificates first; who knows the key gets in as well. A pair is in this state while it is being
 *                      rolled out from keys to certificates, or from one issuer's certificates to another's. When the
 *                      key's file is removed, the state ends
 *
 * What cannot be used (half written, key of another certificate, another server's name) leaves in force what was read
 * before, and is said once.
 */

import { createPrivateKey, X509Certificate } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Log } from '../logging/log.ts';
import { inBackground } from '../system/turns.ts';

/** Between two looks at the files. ms */
const EVERY_MS = 1000;
/**
 * How names are looked for in certificates. A wildcard would make one certificate that of every server of the namespace,
 * and each of them the partner of any. The subject's common name names nobody (RFC 9525 §2).
 */
export const exactly = { wildcards: false, subject: 'never' } as const;
/** Bytes that a shared key has at least. */
const KEY_SIZE_MIN = 16;

export interface TlsCredentials {
  /** The server's own certificate and what leads from it to an authority, and its key. PEM. */
  readonly certificate: string;
  readonly key: string;
  /** Whom the partner's certificate may come from. PEM, one each. */
  readonly authorities: readonly string[];
  /** DNS name that the partner's certificate must have. */
  readonly partnerName: string;
  /** When the server's own certificate ends, ms since the epoch. */
  readonly expiresAt: number;
}

export interface Credentials {
  readonly tls: TlsCredentials | null;
  readonly sharedKey: Uint8Array | null;
  /** Why there are no usable certificates although there should be. A sentence; null: nothing is wrong. */
  readonly problem: string | null;
}

/** What connections need of it: the credentials of now, and news of others. */
export interface CredentialSource {
  readonly current: Credentials;
  subscribe(listener: () => void): void;
}

export interface CredentialFiles {
  /** Absent: no certificates. */
  readonly tls?:
    | {
        /** Holds tls.crt, tls.key and ca.crt: the layout of Kubernetes' and cert-manager's Secrets. */
        readonly directory: string;
        /** DNS names in this server's certificate and in its partner's. */
        readonly name: string;
        readonly partnerName: string;
      }
    | undefined;
  /** With `tls`: counts while it is there. Without: must be there. */
  readonly secretFile?: string | undefined;
}

/** The credentials cannot be used; the message is a sentence for people. */
export class CredentialError extends Error {
  override readonly name = 'CredentialError';
}

export class CredentialStore implements CredentialSource {
  readonly #files: CredentialFiles;
  readonly #log: Log;
  readonly #everyMs: number;
  readonly #listeners: (() => void)[] = [];
  #credentials: Credentials;
  #told: string | null = null;
  #timer: NodeJS.Timeout | null = null;
  #running = false;

  /**
   * Reads the files. Throws CredentialError if only a key is configured and it is not there. Certificates that cannot be
   * used are no reason not to start: a server serves its own disk set without its partner too, and waits for better ones.
   */
  constructor(files: CredentialFiles, log: Log, everyMs = EVERY_MS) {
    this.#files = files;
    this.#log = log;
    this.#everyMs = everyMs;
    const contents = pathsOf(files).map((path) => {
      try {
        return readFileSync(path);
      } catch (error) {
        return error as NodeJS.ErrnoException;
      }
    });
    this.#credentials = usable(files, contents, { tls: null, sharedKey: null, problem: null });
    this.#tellProblem();
  }

  get current(): Credentials {
    return this.#credentials;
  }

  subscribe(listener: () => void): void {
    this.#listeners.push(listener);
  }

  /** Begins to look for changes. */
  start(): void {
    this.#running = true;
    this.#timer = setTimeout(() => {
      inBackground(
        this.#look().finally(() => {
          if (this.#running) this.start();
        }),
      );
    }, this.#everyMs);
    this.#timer.unref();
  }

  stop(): void {
    this.#running = false;
    if (this.#timer !== null) clearTimeout(this.#timer);
  }

  async #look(): Promise<void> {
    const contents = await Promise.all(
      pathsOf(this.#files).map((path) => readFile(path).catch((error: NodeJS.ErrnoException) => error)),
    );
    let next: Credentials;
    try {
      next = usable(this.#files, contents, this.#credentials);
    } catch (error) {
      // A key that is missing for a moment, as while somebody writes it anew.
      next = { ...this.#credentials, problem: (error as Error).message };
    }
    const before = this.#credentials;
    const same = sameCredentials(before, next);
    if (same && before.problem === next.problem) return;
    this.#credentials = next;
    this.#tellProblem();
    if (same) return;
    this.#log.info(`Interconnect: ${describe(next)}.`);
    for (const listener of this.#listeners) listener();
  }

  #tellProblem(): void {
    const { problem } = this.#credentials;
    if (problem !== null && problem !== this.#told) this.#log.warn(`Interconnect: ${problem}`);
    this.#told = problem;
  }
}

type Content = Buffer | NodeJS.ErrnoException;

function pathsOf({ tls, secretFile }: CredentialFiles): string[] {
  const inDirectory = tls === undefined ? [] : ['tls.crt', 'tls.key', 'ca.crt'];
  const certificates = inDirectory.map((name) => join(tls!.directory, name));
  return secretFile === undefined ? certificates : [...certificates, secretFile];
}

function usable(files: CredentialFiles, contents: readonly Content[], before: Credentials): Credentials {
  const sharedKey =
    files.secretFile === undefined ? null : keyFrom(files, contents.at(-1)!, before.sharedKey);
  if (files.tls === undefined) return { tls: null, sharedKey, problem: null };
  try {
    return { tls: tlsFrom(files.tls, contents, before.tls), sharedKey, problem: null };
  } catch (error) {
    if (!(error instanceof CredentialError)) throw error;
    const instead = before.tls === null ? 'Waiting for better ones.' : 'Going on with what was read before.';
    return { tls: before.tls, sharedKey, problem: `${error.message} ${instead}` };
  }
}

function keyFrom(files: CredentialFiles, content: Content, before: Uint8Array | null): Uint8Array | null {
  if (content instanceof Error) {
    // Beside certificates the key may go: that is how it is withdrawn. Any other error is not "no".
    if (files.tls !== undefined) return content.code === 'ENOENT' ? null : before;
    throw content;
  }
  return parseSecret(content, files.secretFile!);
}

/** The pair's shared key from its file; throws CredentialError. */
export function parseSecret(bytes: Uint8Array, source: string): Uint8Array {
  if (bytes.length < KEY_SIZE_MIN) {
    throw new CredentialError(
      `secretFile: ${source} holds ${bytes.length} bytes; a secret has at least ${KEY_SIZE_MIN} (32 is good).`,
    );
  }
  return bytes;
}

function tlsFrom(
  { directory, name, partnerName }: NonNullable<CredentialFiles['tls']>,
  contents: readonly Content[],
  before: TlsCredentials | null,
): TlsCredentials {
  const [certificate, key, authorities] = contents.slice(0, 3).map((content) => {
    if (content instanceof Error) throw new CredentialError(`${content.message}.`);
    return content.toString('utf8');
  }) as [string, string, string];
  if (
    before?.certificate === certificate &&
    before.key === key &&
    before.authorities.join() === pemsIn(authorities).join()
  )
    return before;
  const own = parsed(`${directory}/tls.crt`, () => new X509Certificate(certificate));
  const ownKey = parsed(`${directory}/tls.key`, () => createPrivateKey(key));
  const trusted = pemsIn(authorities);
  for (const pem of trusted) parsed(`${directory}/ca.crt`, () => new X509Certificate(pem));
  if (trusted.length === 0) throw new CredentialError(`${directory}/ca.crt holds no certificate.`);
  if (!own.checkPrivateKey(ownKey))
    throw new CredentialError(`${directory}: tls.key is not the key of the certificate in tls.crt.`);
  if (own.checkHost(name, exactly) === undefined)
    throw new CredentialError(
      `The certificate in ${directory}/tls.crt is for ${own.subjectAltName ?? 'no name'}, and not for DNS:${name}, so the partner would refuse it.`,
    );
  return { certificate, key, authorities: trusted, partnerName, expiresAt: Date.parse(own.validTo) };
}

function parsed<T>(what: string, parse: () => T): T {
  try {
    return parse();
  } catch (error) {
    throw new CredentialError(`${what} cannot be read: ${(error as Error).message}.`);
  }
}

/** The certificates of a file that holds several. */
export function pemsIn(text: string): string[] {
  return text.match(/-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----/g) ?? [];
}

function sameCredentials(a: Credentials, b: Credentials): boolean {
  if (a.tls !== b.tls) return false;
  if (a.sharedKey === null || b.sharedKey === null) return a.sharedKey === b.sharedKey;
  return Buffer.from(a.sharedKey).equals(b.sharedKey);
}

function describe({ tls, sharedKey }: Credentials): string {
  if (tls === null) return sharedKey === null ? 'no credentials any more' : 'a new shared key';
  const until = new Date(tls.expiresAt).toISOString();
  const beside = sharedKey === null ? '' : '; the shared key is accepted too';
  return `certificate until ${until}, ${tls.authorities.length} trusted authorities${beside}`;
}
