/** Credentials that a test exchanges. */

import type { CredentialSource, Credentials } from './credentials.ts';

export class ChangingCredentials implements CredentialSource {
  current: Credentials;
  readonly #listeners: (() => void)[] = [];

  constructor(current: Partial<Credentials>) {
    this.current = { tls: [], problem: null, ...current };
  }

  subscribe(listener: () => void): void {
    this.#listeners.push(listener);
  }

  change(next: Partial<Credentials>): void {
    this.current = { tls: [], problem: null, ...next };
    for (const listener of this.#listeners) listener();
  }
}
