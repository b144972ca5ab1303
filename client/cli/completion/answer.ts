/** Answers a shell that completes a word; whatever goes wrong, it answers with less. */
import type { CommandGroup, Completes, Flags } from '../command.ts';
import { oneLine } from '../terminal.ts';
import { type Candidate, candidates } from './candidates.ts';
import { namesOf } from './names.ts';

/** A shell that hangs is worse than one that completes nothing. ms */
const PATIENCE_MS = 1500;

/** @param words those after `__complete`; the last one is completed. */
export async function answerShell(root: CommandGroup, words: readonly string[]): Promise<string> {
  const current = words.at(-1) ?? '';
  const before = words.slice(0, -1);
  const { values, ask } = candidates(root, before, current);
  const named = ask === null || ask === 'file' ? [] : await asked(ask, clusterFlags(before));
  const lines = [...values, ...named]
    .filter(({ value }) => value.startsWith(current))
    .map(({ value, help }) => `${oneLine(value)}\t${oneLine(help)}`);
  return [...lines, ask === 'file' ? ':0' : ':4', ''].join('\n');
}

async function asked(what: Completes, flags: Flags): Promise<Candidate[]> {
  const late = new Promise<Candidate[]>((resolve) => void setTimeout(resolve, PATIENCE_MS, []).unref());
  return Promise.race([namesOf(what, flags).catch(() => []), late]);
}

/** Which cluster is meant, as far as it has been typed. */
function clusterFlags(words: readonly string[]): Flags {
  const flags: Record<string, string> = {};
  for (const [i, word] of words.entries()) {
    for (const name of ['namespace', 'kubeconfig', 'context']) {
      const isBefore = word === `--${name}` || (name === 'namespace' && word === '-n');
      const value = isBefore ? words[i + 1] : new RegExp(`^--${name}=(.*)$`).exec(word)?.[1];
      if (value !== undefined) flags[name] = value;
    }
  }
  return flags;
}
