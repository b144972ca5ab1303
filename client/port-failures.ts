/** Why each port of a server could not be used the last time, for messages. */
import { type Endpoints, formatAddress, type PortRole, type TransportAddress } from './transport-address.ts';

interface PortFailure {
  readonly target: string;
  readonly reason: string;
  /** The resolver knows that there is no such name. */
  readonly nameUnknown?: boolean;
}

export class PortFailures {
  readonly #endpoints: Endpoints;
  readonly #last: Record<PortRole, PortFailure | null> = { primary: null, secondary: null };

  constructor(endpoints: Endpoints) {
    this.#endpoints = endpoints;
  }

  /** `reason`: a system error code (ECONNREFUSED) or what follows the address in a sentence. */
  failed(role: PortRole, target: string, reason: string): void {
    this.#last[role] = { target, reason };
  }

  lookupFailed(role: PortRole, target: string, error: unknown): void {
    const nameUnknown = (error as NodeJS.ErrnoException).code === 'ENOTFOUND';
    this.#last[role] = { target, reason: lookupReason(error), nameUnknown };
  }

  succeeded(role: PortRole): void {
    this.#last[role] = null;
  }

  /** True if no name has ever had an address, and the resolver says that none of them exists. */
  get isNameUnknown(): boolean {
    const { primary, secondary } = this.#last;
    const isUnknown = (failure: PortFailure | null) => failure?.nameUnknown === true;
    return isUnknown(primary) && (this.#endpoints.secondary === null || isUnknown(secondary));
  }

  /** One sentence on why nothing is reached. */
  describe(): string {
    const { primary, secondary } = this.#endpoints;
    const parts = [describePort(primary, this.#last.primary)];
    if (secondary) parts.push(describePort(secondary, this.#last.secondary));
    return parts.join('; ');
  }
}

function describePort(target: TransportAddress, failure: PortFailure | null): string {
  const name = formatAddress(target);
  if (failure === null) return `${name} did not answer`;
  const where = failure.target === name ? name : `${name} (${failure.target})`;
  if (failure.reason === 'ECONNREFUSED') return `${where} refused the connection`;
  return `${where}: ${failure.reason}`;
}

function lookupReason(error: unknown): string {
  const { code, message } = error as NodeJS.ErrnoException;
  if (code === 'ENOTFOUND') return 'the name does not resolve';
  if (code === 'EAI_AGAIN') return 'the name server does not answer';
  return message;
}
