/** Finds the command in a line whose options may stand anywhere: `-n storage status` and `status -n storage` are the same. */
import { type CommandGroup, type Entry, isGroup, type Option } from './command.ts';
import { HELP, optionsOf } from './common-options.ts';

export interface CommandLine {
  /** The words that name the command, from the root. */
  readonly path: readonly string[];
  /** The command or group that the words name. */
  readonly at: Entry;
  /** Everything else, in its order. */
  readonly rest: readonly string[];
  /** The first word that is neither an option nor a value of one, where a group has no such command. */
  readonly unknown: string | undefined;
}

/** How many words an option takes with it, and what a word that begins with a dash says. */
export interface Known {
  readonly long: ReadonlyMap<string, Option>;
  readonly short: ReadonlyMap<string, Option>;
}

/** The options of all commands below. */
export function knownIn({ commands }: CommandGroup): Known {
  const long = new Map<string, Option>([['help', HELP]]);
  const short = new Map<string, Option>([['h', HELP]]);
  const add = (some: readonly Entry[]): void => {
    for (const entry of some) {
      if (isGroup(entry)) {
        add(entry.commands);
        continue;
      }
      for (const { name, option } of optionsOf(entry)) {
        long.set(name, option);
        if (option.short !== undefined) short.set(option.short, option);
      }
    }
  };
  add(commands);
  return { long, short };
}

/** The option whose value the word after this one is; null: it stands for itself. */
export function awaitsValue(word: string, { long, short }: Known): Option | null {
  if (word.startsWith('--')) {
    const option = word.includes('=') ? undefined : long.get(word.slice(2));
    return option?.value === undefined ? null : option;
  }
  if (!word.startsWith('-') || word === '-') return null;
  for (let i = 1; i < word.length; i++) {
    const option = short.get(word[i]!);
    // Its value begins at once, or is the next word.
    if (option?.value !== undefined) return i === word.length - 1 ? option : null;
  }
  return null;
}

export function commandIn(root: CommandGroup, words: readonly string[]): CommandLine {
  const known = knownIn(root);
  const path: string[] = [];
  const rest: string[] = [];
  let at: Entry = root;
  let unknown: string | undefined;
  for (let i = 0; i < words.length; i++) {
    const word = words[i]!;
    if (word === '--' || !isGroup(at)) {
      rest.push(...words.slice(i));
      break;
    }
    if (word.startsWith('-') && word !== '-') {
      rest.push(word);
      if (awaitsValue(word, known) !== null && i + 1 < words.length) rest.push(words[++i]!);
      continue;
    }
    const found: Entry | undefined = at.commands.find(({ name }) => name === word);
    if (found === undefined) {
      unknown = word;
      rest.push(...words.slice(i));
      break;
    }
    path.push(word);
    at = found;
  }
  return { path, at, rest, unknown };
}
