/** Exports that are not served because their directories are not there, as the data path says: for status and the Lease. */
import type { ServerName } from '../../pair/incarnation.ts';
import type { AbsentExport } from '../threads/messages.ts';

export class AbsentExports {
  readonly #byHome: Map<ServerName, readonly AbsentExport[]>;

  constructor() {
    this.#byHome = new Map();
  }

  set(home: ServerName, exports: readonly AbsentExport[]): void {
    this.#byHome.set(home, exports);
  }

  /** It is not served here any more. */
  forget(home: ServerName): void {
    this.#byHome.delete(home);
  }

  of(home: ServerName): readonly AbsentExport[] {
    return this.#byHome.get(home) ?? [];
  }
}
