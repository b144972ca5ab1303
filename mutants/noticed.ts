/**
 * The mutants of an area that a test has noticed, kept from run to run in out/mutants/AREA.json: a whole area takes hours. A
 * mutant is recognised by its line's text, so that a change elsewhere in its file loses nothing. A change in its line makes it new.
 */
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import type { Mutant } from './mutate.ts';

/** Whether a test noticed it; absent is not run yet. */
export type Verdict = 'killed' | 'survived';

/** A name for each mutant of one file, as `mutantsOf` gave them. Those of lines that read alike are counted. */
export function namesOf(mutants: readonly Mutant[], text: string): Map<Mutant, string> {
  const lines = text.split('\n');
  const counts = new Map<string, number>();
  const names = new Map<Mutant, string>();
  for (const mutant of mutants) {
    const { file, line, code, becomes } = mutant;
    const name = [file, lines[line - 1]!.trim(), code, becomes].join(' | ');
    const count = counts.get(name) ?? 0;
    counts.set(name, count + 1);
    names.set(mutant, count === 0 ? name : `${name} | ${count}`);
  }
  return names;
}

export class Noticed {
  readonly #path: string;
  readonly #verdicts: Map<string, Verdict>;

  constructor(folder: string, area: string) {
    this.#path = join(folder, `${area.replaceAll(' ', '-')}.json`);
    this.#verdicts = new Map(Object.entries(read(this.#path)));
  }

  of(name: string): Verdict | undefined {
    return this.#verdicts.get(name);
  }

  /** Written at once: the run may be ended at any moment. */
  set(name: string, verdict: Verdict): void {
    this.#verdicts.set(name, verdict);
    mkdirSync(dirname(this.#path), { recursive: true });
    writeFileSync(this.#path, `${JSON.stringify(Object.fromEntries(this.#verdicts), null, 2)}\n`);
  }
}

function read(path: string): Record<string, Verdict> {
  try {
    return JSON.parse(readFileSync(path, 'utf8')) as Record<string, Verdict>;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return {};
    throw error;
  }
}
