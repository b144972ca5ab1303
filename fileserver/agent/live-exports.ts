/**
 * The exports as they are now. The configuration file may change them while the server runs; everything else in it
 * takes a new process. A file that is wrong changes nothing: the old exports go on, and log, status and a metric say
 * why until there is a better one.
 */
import { type Config, ConfigError, parseConfig } from '../config/config.ts';
import type { Log } from '../logging/log.ts';
import type { ExportSpec } from '../settings/export-spec.ts';

/** Outcome of the last change of the configuration file. */
export interface ConfigurationStatus {
  /** Why the file as it is now is not in force, in a sentence; null: it is, as far as it can be. */
  readonly refused: string | null;
  /** Fields that differ from what this process runs with. */
  readonly needsRestart: readonly string[];
}

export interface LiveExportsOptions {
  readonly config: Config;
  /** Has a disk set use other exports, if it is open. */
  readonly apply: (home: string, exports: readonly ExportSpec[]) => void;
  readonly changed: (outcome: 'taken' | 'refused') => void;
  readonly log: Log;
}

export class LiveExports {
  readonly #options: LiveExportsOptions;
  readonly #current: Map<string, readonly ExportSpec[]>;
  /** The last that a disk set is known to have accepted. */
  readonly #accepted: Map<string, readonly ExportSpec[]>;
  #refusal: string | null;
  #needsRestart: readonly string[];

  constructor(options: LiveExportsOptions) {
    const { diskSets } = options.config;
    this.#options = options;
    this.#current = new Map(Object.entries(diskSets).map(([home, { exports }]) => [home, specsOf(exports)]));
    this.#accepted = new Map(this.#current);
    this.#refusal = null;
    this.#needsRestart = [];
  }

  get status(): ConfigurationStatus {
    return { refused: this.#refusal, needsRestart: this.#needsRestart };
  }

  of(home: string): ExportSpec[] {
    return [...(this.#current.get(home) ?? [])];
  }

  /** The configuration file has these contents now. */
  take(text: string, source: string): void {
    const { config, apply, changed, log } = this.#options;
    let next: Config;
    try {
      next = parseConfig(text, source);
    } catch (error) {
      if (!(error instanceof ConfigError)) throw error;
      this.#refuse(error.message);
      return;
    }
    this.#refusal = null;
    this.#needsRestart = differences(withoutExports(config), withoutExports(next));
    if (this.#needsRestart.length > 0) {
      log.warn(
        `${source} has changed in ${this.#needsRestart.join(', ')}: that takes effect with the next start.`,
      );
    }
    for (const [home, { exports: given }] of Object.entries(next.diskSets)) {
      const exports = specsOf(given);
      if (same(exports, this.#current.get(home))) continue;
      this.#current.set(home, exports);
      log.info(
        `${source}: exports of ${home} are now ${exports.map(({ path }) => path).join(', ') || 'none'}.`,
      );
      apply(home, exports);
      changed('taken');
    }
  }

  /** These are in force. */
  taken(home: string, exports: readonly ExportSpec[]): void {
    this.#accepted.set(home, exports);
  }

  /** These can't be. A later open of the disk set must not fail for that. */
  refused(home: string, exports: readonly ExportSpec[], message: string): void {
    // The file may have changed again since they were given.
    if (!same(exports, this.#current.get(home))) return;
    this.#current.set(home, this.#accepted.get(home) ?? []);
    this.#refuse(`exports of ${home}: ${message}`);
  }

  #refuse(message: string): void {
    this.#refusal = message;
    this.#options.changed('refused');
    this.#options.log.error(`The exports stay as they were: ${message}`);
  }
}

function specsOf(exports: Config['diskSets'][string]['exports'] = []): ExportSpec[] {
  return exports.map(({ directory, ...rest }) => (directory === undefined ? rest : { ...rest, directory }));
}

function withoutExports(config: Config): unknown {
  const diskSets = Object.entries(config.diskSets).map(([home, set]) => [home, { ...set, exports: [] }]);
  return { ...config, diskSets: Object.fromEntries(diskSets) };
}

function same(a: unknown, b: unknown): boolean {
  return JSON.stringify(a) === JSON.stringify(b);
}

/** Paths of the fields in which two configurations differ, like `timing.leaseMs`. */
function differences(a: unknown, b: unknown, path = ''): string[] {
  if (same(a, b)) return [];
  if (!isRecord(a) || !isRecord(b)) return [path];
  const keys = new Set([...Object.keys(a), ...Object.keys(b)]);
  return [...keys].flatMap((key) => differences(a[key], b[key], path === '' ? key : `${path}.${key}`));
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
