/**
 * TLS 1.3 on a connection of the interconnect, in both directions the same: each side shows a certificate, and it must come from
 * an authority that the other side trusts and carry the partner's name. What follows inside is the handshake of
 * protocol/interconnect.ts.
 */

import { createHash, X509Certificate } from 'node:crypto';
import type { Socket } from 'node:net';
import { connect, createSecureContext, createServer, type SecureContext, type TLSSocket } from 'node:tls';
import { nextTurn } from '../system/turns.ts';
import { type Credentials, exactly, pemsIn, type TlsCredentials } from './credentials.ts';

// Its secret is one that only the two ends of this very TLS session can know (its exporter, RFC 8446 §7.5), so identity and
// versions are bound to the session.
//
// Sessions are never resumed: a resumed one would not show its certificate again.

/** First byte of a TLS record with a handshake (RFC 8446 §5.1). */
const TLS_HANDSHAKE_BYTE = 0x16;

/** An end of a TLS session whose other end has shown the partner's certificate. */
export interface SecureEnd {
  readonly socket: TLSSocket;
  /** 32 bytes that both ends of this session know, and nobody else. */
  readonly secret: Uint8Array;
  /** The partner's certificate. */
  readonly shown: X509Certificate;
}

/** Somebody answered whose certificate is not the partner's. */
export class NotThePartner extends Error {}

/** On a socket of which nothing has been read. Destroys it on failure, and after `withinMs`. */
export function acceptTls(
  socket: Socket,
  { tls: all, problem }: Credentials,
  withinMs: number,
): Promise<SecureEnd> {
  return inTime(socket, withinMs, async () => {
    const firstBytes = await firstBytesOf(socket);
    const [first] = all;
    // A TLS session costs more than a connection: none for a stranger that does not even begin one.
    if (firstBytes[0] !== TLS_HANDSHAKE_BYTE || first === undefined) {
      quietly(socket);
      throw new Error(
        first === undefined ? (problem ?? 'there are no credentials') : 'it does not speak TLS',
      );
    }
    socket.unshift(firstBytes);
    let chosen = first;
    return new Promise((resolve, reject) => {
      // One of its own for each connection: it never listens, and keeps no tickets. What it shows is chosen by SNI, which every
      // dialer sends: so the certificates are not parsed anew for each stranger, and who sends none gets none.
      const server = createServer({
        ca: [],
        minVersion: TLS_MIN,
        SNICallback: (name, done) => {
          chosen = all.find((one) => asksFor(name, one)) ?? first;
          done(null, contextOf(chosen));
        },
        requestCert: true,
        // Judged below, where it becomes a sentence. Until then nothing is said and nothing is heard.
        rejectUnauthorized: false,
      });
      const fail = (error: Error): void => {
        quietly(socket);
        reject(error);
      };
      server.once('tlsClientError', (error) => fail(new Error(`its TLS handshake failed: ${brief(error)}`)));
      server.once('secureConnection', (secured) => settle(secured, chosen, resolve, fail));
      server.emit('connection', socket);
    });
  });
}

function firstBytesOf(socket: Socket): Promise<Buffer> {
  return new Promise((resolve, reject) => {
    const done = (): void => {
      socket.off('readable', readable).off('error', failed).off('close', closed);
    };
    const readable = (): void => {
      const bytes = socket.read() as Buffer | null;
      if (bytes === null) return;
      done();
      resolve(bytes);
    };
    const failed = (error: Error): void => {
      done();
      quietly(socket);
      reject(error);
    };
    const closed = (): void => failed(new Error('it closed the connection and sent nothing'));
    socket.on('readable', readable).on('error', failed).on('close', closed);
  });
}

/** On a connected socket. Destroys it on failure, and after `withinMs`. */
export function dialTls(socket: Socket, credentials: TlsCredentials, withinMs: number): Promise<SecureEnd> {
  const handshake = new Promise<SecureEnd>((resolve, reject) => {
    const secured = connect({
      secureContext: contextOf(credentials),
      minVersion: TLS_MIN,
      socket,
      servername: serverNameFor(credentials),
      // Both judged below, in the same words as on the other side.
      rejectUnauthorized: false,
      checkServerIdentity: () => undefined,
    });
    const fail = (error: Error): void => {
      quietly(secured);
      quietly(socket);
      reject(error);
    };
    secured.once('error', (error) => fail(new Error(`the TLS handshake failed: ${brief(error)}`)));
    const closed = (): void => fail(new Error('the connection ended in the TLS handshake'));
    secured.once('close', closed);
    secured.once('secureConnect', () => {
      secured.off('close', closed);
      settle(secured, credentials, resolve, fail);
    });
  });
  return inTime(socket, withinMs, () => handshake);
}

/**
 * SNI that a dialer sends: the partner's name, and below it the issuer of its own certificate. So the acceptor chooses the
 * certificate that the dialer trusts, if it has several.
 */
function serverNameFor({ certificate, partnerName }: TlsCredentials): string {
  return `${labelOf(new X509Certificate(certificate).issuer)}.${partnerName}`;
}

const asksFor = (name: string, { authorities }: TlsCredentials): boolean =>
  authorities.some((pem) => name.startsWith(`${labelOf(new X509Certificate(pem).subject)}.`));

const labelOf = (authority: string): string =>
  createHash('sha256').update(authority).digest('hex').slice(0, 32);

/**
 * Whether a connection that was made with other credentials may go on under these. Of what may lie between the partner's
 * certificate and an authority only what this server's own certificate has above it is known. Without it the connection ends and
 * is made anew, and the whole check of TLS decides.
 */
export function stillTrusted(shown: X509Certificate, { tls }: Credentials): boolean {
  return tls.some(({ certificate, authorities }) => {
    const [, ...between] = certificatesIn(certificate);
    return leadsTo(shown, between, authorities.flatMap(certificatesIn));
  });
}

function leadsTo(
  one: X509Certificate,
  between: readonly X509Certificate[],
  authorities: readonly X509Certificate[],
): boolean {
  const isIssuedBy = (issuer: X509Certificate): boolean =>
    one.checkIssued(issuer) && one.verify(issuer.publicKey);
  if (authorities.some(isIssuedBy)) return true;
  const issuer = between.find(isIssuedBy);
  // Each step uses one up: certificates that issue each other lead nowhere.
  return (
    issuer !== undefined &&
    leadsTo(
      issuer,
      between.filter((other) => other !== issuer),
      authorities,
    )
  );
}

const certificatesIn = (text: string): X509Certificate[] =>
  pemsIn(text).map((pem) => new X509Certificate(pem));

const TLS_MIN = 'TLSv1.3';
const contexts = new WeakMap<TlsCredentials, SecureContext>();

/** Made once for the same credentials: that costs more than a handshake. */
function contextOf(credentials: TlsCredentials): SecureContext {
  const known = contexts.get(credentials);
  if (known !== undefined) return known;
  const { certificate, key, authorities } = credentials;
  const made = createSecureContext({ cert: certificate, key, ca: [...authorities], minVersion: TLS_MIN });
  contexts.set(credentials, made);
  return made;
}

function settle(
  secured: TLSSocket,
  credentials: TlsCredentials,
  resolve: (end: SecureEnd) => void,
  fail: (error: Error) => void,
): void {
  const shown = secured.getPeerX509Certificate();
  const why = whyNotThePartner(shown, secured, credentials);
  if (shown === undefined || why !== null) {
    quietly(secured);
    fail(new NotThePartner(why ?? ''));
    return;
  }
  secured.removeAllListeners('error');
  const secret = secured.exportKeyingMaterial(32, 'EXPORTER-filerpair-interconnect', Buffer.alloc(0));
  resolve({ socket: secured, secret, shown });
}

/** A sentence for the log; null: it is the partner. */
function whyNotThePartner(
  shown: X509Certificate | undefined,
  secured: TLSSocket,
  { partnerName, certificate }: TlsCredentials,
): string | null {
  if (shown === undefined) return 'it shows no certificate';
  if (!secured.authorized) return untrusted(shown, String(secured.authorizationError));
  if (shown.fingerprint256 === new X509Certificate(certificate).fingerprint256)
    return 'its certificate is the one of this server itself: does partnerAddress point back to it?';
  if (shown.checkHost(partnerName, exactly) !== undefined) return null;
  return `its certificate is for ${shown.subjectAltName ?? 'no name'}, and the partner's is for DNS:${partnerName}`;
}

function untrusted(shown: X509Certificate, code: string): string {
  if (code === 'CERT_HAS_EXPIRED') return `its certificate has expired (${shown.validTo})`;
  if (code === 'CERT_NOT_YET_VALID') return `its certificate is not valid yet (from ${shown.validFrom})`;
  return `its certificate comes from an authority that is not trusted here (${oneLine(shown.issuer)}; ${code})`;
}

/** Whatever becomes of the handshake: of a socket that is destroyed neither end of TLS hears more than its `close`. */
async function inTime(socket: Socket, ms: number, handshake: () => Promise<SecureEnd>): Promise<SecureEnd> {
  const late = Promise.withResolvers<never>();
  const giveUp = (): void => {
    late.reject(new Error(`no proof within ${Math.round(ms)} ms`));
    socket.destroy();
  };
  // If this process itself was held up, the answer may wait unread: timers come before it, immediates after.
  const timer = setTimeout(() => nextTurn(giveUp), ms);
  try {
    return await Promise.race([handshake(), late.promise]);
  } finally {
    clearTimeout(timer);
  }
}

function quietly(socket: Socket): void {
  socket.removeAllListeners('error');
  // An error may still come while it is being destroyed; it must not be thrown.
  socket.on('error', () => {});
  socket.destroy();
}

/** OpenSSL's errors carry addresses and files; what people need is the reason. */
function brief(error: Error & { readonly reason?: string }): string {
  return error.reason ?? oneLine(error.message);
}

const oneLine = (text: string): string => text.replaceAll('\n', ', ');
