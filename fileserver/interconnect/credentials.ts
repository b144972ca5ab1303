/**
 * The certificate by which a server proves to its partner who it is, and the authorities that its partner's may come from. Their
 * files may change at any time (on Kubernetes a Secret's, which the kubelet exchanges), so they are read again every second: new
 * connections use the new ones at once, and nothing restarts.
 */

import { createPrivateKey, X509Certificate } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Log } from '../logging/log.ts';
import { inBackground } from '../system/turns.ts';

// A server may have a second certificate of another issuer. A pair whose certificates come from elsewhere has the operator's beside
// them, so a change of issuer, in which the servers restart one after the other, never parts them.
//
// Unusable files (half written, key of another certificate, another server's name) leave in force what was read before, and this
// is logged once.

/** Between two looks at the files. ms */
const EVERY_MS = 1000;
/**
 * How names are looked for in certificates. A wildcard would make one certificate that of every server of the namespace,
 * and each of them the partner of any. The subject's common name names nobody (RFC 9525 §2).
 */
export const exactly = { wildcards: false, subject: 'never' } as const;

export interface TlsCredentials {
  /** Where they were read. */
  readonly directory: string;
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
  /** In the order in which a dialer tries them. Empty: none that can be used have been read yet. */
  readonly tls: readonly TlsCredentials[];
  /** Why there are no usable certificates although there should be. A sentence; null: nothing is wrong. */
  readonly problem: string | null;
}

/** The part of it that connections need: the credentials of now, and news of others. */
export interface CredentialSource {
  readonly current: Credentials;
  subscribe(listener: () => void): void;
}

export interface CertificateFiles {
  /** Holds tls.crt, tls.key and ca.crt: the layout of Kubernetes' and cert-manager's Secrets. */
  readonly directory: string;
  /** The same of another issuer; counts while its files are there. */
  readonly fallbackDirectory?: string | undefined;
  /** DNS names in this server's certificate and in its partner's. */
  readonly name: string;
  readonly partnerName: string;
}

/** The credentials cannot be used; the message is a sentence for people. */
class CredentialError extends Error {}

export class CredentialStore implements CredentialSource {
  readonly #files: CertificateFiles;
  readonly #log: Log;
  readonly #everyMs: number;
  readonly #listeners: (() => void)[] = [];
  #credentials: Credentials = { tls: [], problem: null };
  #told: string | null = null;
  #timer: NodeJS.Timeout | null = null;
  #running = false;

  /**
   * Reads the files. Certificates that cannot be used are no reason not to start: a server serves its own disk set without its
   * partner too, and waits for better ones.
   */
  constructor(files: CertificateFiles, log: Log, everyMs = EVERY_MS) {
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
    this.#credentials = usable(files, contents, []);
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
    const before = this.#credentials;
    const next = usable(this.#files, contents, before.tls);
    const same = before.tls.length === next.tls.length && before.tls.every((one, i) => one === next.tls[i]);
    if (same && before.problem === next.problem) return;
    this.#credentials = next;
    this.#tellProblem();
    if (same) return;
    const described = next.tls.map(({ expiresAt, authorities }) => {
      const until = new Date(expiresAt).toISOString();
      return `certificate until ${until}, ${authorities.length} trusted authorities`;
    });
    this.#log.info(`Interconnect: ${described.join('; ')}.`);
    for (const listener of this.#listeners) listener();
  }

  #tellProblem(): void {
    const { problem } = this.#credentials;
    if (problem !== null && problem !== this.#told) this.#log.warn(`Interconnect: ${problem}`);
    this.#told = problem;
  }
}

type Content = Buffer | NodeJS.ErrnoException;

function directoriesOf({ directory, fallbackDirectory }: CertificateFiles): string[] {
  return fallbackDirectory === undefined ? [directory] : [directory, fallbackDirectory];
}

function pathsOf(files: CertificateFiles): string[] {
  return directoriesOf(files).flatMap((directory) =>
    ['tls.crt', 'tls.key', 'ca.crt'].map((name) => join(directory, name)),
  );
}

function usable(
  files: CertificateFiles,
  contents: readonly Content[],
  before: readonly TlsCredentials[],
): Credentials {
  const tls: TlsCredentials[] = [];
  let problem: string | null = null;
  for (const [index, directory] of directoriesOf(files).entries()) {
    const ofDirectory = contents.slice(3 * index, 3 * index + 3);
    const known = before.find((one) => one.directory === directory);
    if (index > 0 && ofDirectory.every((one) => one instanceof Error && one.code === 'ENOENT')) continue;
    try {
      tls.push(tlsFrom({ ...files, directory }, ofDirectory, known));
    } catch (error) {
      if (!(error instanceof CredentialError)) throw error;
      const instead =
        known === undefined ? 'Waiting for better ones.' : 'Going on with what was read before.';
      problem ??= `${error.message} ${instead}`;
      if (known !== undefined) tls.push(known);
    }
  }
  return { tls, problem };
}

function tlsFrom(
  { directory, name, partnerName }: CertificateFiles,
  contents: readonly Content[],
  before: TlsCredentials | undefined,
): TlsCredentials {
  const [certificate, key, authorities] = contents.map((content) => {
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
  const expiresAt = Date.parse(own.validTo);
  return { directory, certificate, key, authorities: trusted, partnerName, expiresAt };
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
