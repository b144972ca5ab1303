/** Candidates by which the shell may complete a word, from what the commands say about themselves. */
import { type CommandGroup, type Completes, isGroup, type Operand } from '../command.ts';
import { awaitsValue, commandIn, type Known, knownIn } from '../command-line.ts';
import { HELP, type KnownOption, optionsOf } from '../common-options.ts';

export interface Candidate {
  readonly value: string;
  readonly help: string;
}

export interface Candidates {
  readonly values: readonly Candidate[];
  /** Names that only a cluster or the file system has. */
  readonly ask: Completes | null;
}

const NOTHING: Candidates = { values: [], ask: null };

/** @param words those before the one that is completed, without the program. */
export function candidates(root: CommandGroup, words: readonly string[], current: string): Candidates {
  const { at, rest } = commandIn(root, words);
  // An option of one name may have other values elsewhere.
  const known = knownIn(isGroup(at) ? root : { ...root, commands: [at] });
  const last = words.at(-1);
  const awaiting = last === undefined ? null : awaitsValue(last, known);
  if (awaiting !== null) return values(awaiting.choices, awaiting.completes);
  if (current.startsWith('-')) return options(isGroup(at) ? [] : optionsOf(at), current, known);
  if (isGroup(at)) {
    const help = { name: 'help', summary: 'explain a command' };
    return {
      values: [...at.commands, help].map(({ name, summary }) => ({ value: name, help: summary })),
      ask: null,
    };
  }
  const operand = operandAt(at.operands, positionals(rest, known).length);
  return operand === undefined ? NOTHING : values(operand.choices, operand.completes);
}

function values(choices: readonly string[] = [], completes: Completes | null = null): Candidates {
  return { values: choices.map((value) => ({ value, help: '' })), ask: completes };
}

function options(all: readonly KnownOption[], current: string, { long }: Known): Candidates {
  const [name, value] = current.split('=', 2);
  if (value !== undefined) {
    const option = long.get(name!.slice(2));
    const found = values(option?.choices, option?.completes);
    return { ...found, values: found.values.map((one) => ({ ...one, value: `${name}=${one.value}` })) };
  }
  const listed = [...all.map((one): [string, string] => [one.name, one.option.help]), ['help', HELP.help]];
  return { values: listed.map(([option, help]) => ({ value: `--${option}`, help: help! })), ask: null };
}

/** With "many" in the middle (`cp SOURCE... TARGET`) every word may be the last one, too. */
function operandAt(operands: readonly Operand[], index: number): Operand | undefined {
  const many = operands.findIndex((one) => one.many === true);
  return many >= 0 && index >= many ? operands[many] : operands[index];
}

function positionals(rest: readonly string[], known: Known): string[] {
  const found: string[] = [];
  for (let i = 0; i < rest.length; i++) {
    const word = rest[i]!;
    if (!word.startsWith('-') || word === '-') found.push(word);
    else if (awaitsValue(word, known) !== null) i += 1;
  }
  return found;
}
