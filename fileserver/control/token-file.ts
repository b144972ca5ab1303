/**
 * The token that who reads status and metrics has to show: `Authorization: Bearer TOKEN` (RFC 6750 §2.1), as Prometheus sends
 * it with `authorization.credentials_file`. Read from its file at most once a second, so it may be exchanged at any time. As
 * long as the file cannot be read nobody gets in.
 */
import { createHash, timingSafeEqual } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { SharedAnswer } from '../agent/shared-answer.ts';

const GOOD_FOR_MS = 1000;
/** Characters of a token, at least: shorter ones can be guessed. */
const SIZE_MIN = 16;

export class TokenFile {
  readonly #path: string;
  readonly #text: SharedAnswer<string>;

  constructor(path: string) {
    this.#path = path;
    this.#text = new SharedAnswer(async () => (await readFile(path, 'utf8')).trim(), GOOD_FOR_MS);
  }

  /** Null: it is the token. Otherwise a sentence for who asks. `header`: of the request's Authorization. */
  async objectionTo(header: string | undefined): Promise<string | null> {
    const shown = /^Bearer +(\S+)$/i.exec(header ?? '')?.[1];
    if (shown === undefined) return 'Show the token: "Authorization: Bearer TOKEN".';
    let wanted: string;
    try {
      wanted = await this.#text.get();
    } catch (error) {
      return `The token cannot be read (${(error as NodeJS.ErrnoException).code ?? 'unknown'}), so nobody gets in.`;
    }
    if (wanted.length < SIZE_MIN)
      return `${this.#path} holds fewer than ${SIZE_MIN} characters, so nobody gets in.`;
    return timingSafeEqual(digest(shown), digest(wanted)) ? null : 'This is not the token.';
  }
}

const digest = (text: string): Buffer => createHash('sha256').update(text).digest();
