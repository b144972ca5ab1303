/** Reads a command line by Commander, which also lays out the help: no other file knows it. */
import { Argument, Command as CommanderCommand, CommanderError, Option as CommanderOption } from 'commander';
import {
  type Command,
  type CommandGroup,
  type Entry,
  type Flags,
  isGroup,
  type Operand,
  type Option,
  UsageError,
} from './command.ts';
import { commandIn } from './command-line.ts';
import { HELP, optionsOf } from './common-options.ts';
import { didYouMean } from './similar.ts';

/** Limit for operands that have none of their own. */
const OPERANDS_MAX = 100_000;

export type Parsed =
  | {
      readonly kind: 'Run';
      readonly command: Command;
      readonly positional: readonly string[];
      readonly flags: Flags;
      readonly usage: string;
    }
  | { readonly kind: 'Text'; readonly text: string }
  /** No command was named. */
  | { readonly kind: 'Nothing'; readonly text: string };

/** The command line is wrong; `usage` is how it would be right. */
export class WrongLine extends UsageError {
  readonly usage: string;

  constructor(message: string, usage: string) {
    super(message);
    this.usage = usage;
  }
}

/**
 * @param columns width of the help, characters
 * @throws WrongLine
 */
export function parseLine(
  root: CommandGroup,
  version: string,
  words: readonly string[],
  columns: number,
): Parsed {
  const { path, at, rest, unknown } = commandIn(root, words);
  const name = [root.name, ...path].join(' ');
  if (!isGroup(at)) return parseCommand(at, name, rest, columns);
  if (unknown === 'help') {
    const asked = commandIn(root, [...path, ...rest.slice(rest.indexOf('help') + 1)]);
    if (isGroup(asked.at) && asked.unknown !== undefined) throw unknownCommand(asked.at, name, asked.unknown);
    return { kind: 'Text', text: helpOf(asked.at, [root.name, ...asked.path].join(' '), columns) };
  }
  const text = helpOf(at, name, columns);
  if (rest.includes('--help') || rest.includes('-h')) return { kind: 'Text', text };
  if (rest.includes('--version')) return { kind: 'Text', text: `filerpair ${version}\n` };
  if (unknown !== undefined) throw unknownCommand(at, name, unknown);
  return { kind: 'Nothing', text };
}

export function helpOf(entry: Entry, name: string, columns: number): string {
  const made = isGroup(entry) ? groupOf(entry, name) : commandOf(entry, name);
  let text = '';
  made.configureOutput({ getOutHelpWidth: () => columns, writeOut: (part) => (text += part) });
  made.outputHelp();
  return text;
}

/** `cp [options] SOURCE... TARGET` */
export function usageOf({ operands }: Command, name: string): string {
  return [name, '[options]', ...operands.map(operandText)].join(' ');
}

export function operandText({ name, many, optional }: Operand): string {
  const text = many === true ? `${name}...` : name;
  return optional === true ? `[${text}]` : text;
}

function parseCommand(command: Command, name: string, rest: readonly string[], columns: number): Parsed {
  const made = commandOf(command, name);
  const usage = usageOf(command, name);
  made.exitOverride().configureOutput({ writeOut: () => {}, writeErr: () => {} });
  try {
    made.parse(rest, { from: 'user' });
  } catch (error) {
    if (!(error instanceof CommanderError)) throw error;
    if (error.code === 'commander.helpDisplayed')
      return { kind: 'Text', text: helpOf(command, name, columns) };
    throw new WrongLine(sentenceOf(error.message), usage);
  }
  const flags: Record<string, string | boolean> = {};
  for (const { name: long } of optionsOf(command)) {
    // To Commander --no-wait is the opposite of an option --wait.
    const negated = long.startsWith('no-');
    const kept: unknown = made.getOptionValue(keyOf(negated ? long.slice(3) : long));
    const value = negated ? kept === false || undefined : kept;
    if (typeof value === 'string' || typeof value === 'boolean') flags[long] = value;
  }
  const missing = command.operands.filter(({ optional }) => optional !== true)[made.args.length];
  if (missing !== undefined) throw new WrongLine(`missing argument: ${missing.name}`, usage);
  const countMax = command.operands.some(({ many }) => many === true)
    ? OPERANDS_MAX
    : command.operands.length;
  if (made.args.length > countMax)
    throw new WrongLine(`too many arguments: ${made.args.slice(countMax).join(' ')}`, usage);
  for (const [i, { choices, name: operand }] of command.operands.entries()) {
    const given = made.args[i];
    if (given === undefined || choices === undefined || choices.includes(given)) continue;
    throw new WrongLine(
      `${operand} is ${choices.join(' or ')}, not "${given}"${didYouMean(given, choices)}`,
      usage,
    );
  }
  return { kind: 'Run', command, positional: made.args, flags, usage };
}

function unknownCommand({ commands }: CommandGroup, name: string, word: string): WrongLine {
  const names = [...commands.map((each) => each.name), 'help'];
  return new WrongLine(
    `unknown command "${word}"${didYouMean(word, names)}`,
    `${name} COMMAND; ${name} help`,
  );
}

/** Commander's `error: unknown option '--tiemout'\n(Did you mean --timeout?)` in the form of our own messages. */
function sentenceOf(message: string): string {
  return message
    .replace(/^error: /, '')
    .replace(/\s*\(Did you mean (.+)\?\)/, '; did you mean $1?')
    .replace(/\s+/g, ' ');
}

function groupOf(group: CommandGroup, name: string): CommanderCommand {
  const made = new CommanderCommand(name).description(group.summary).usage('COMMAND [options]');
  made.helpOption(false).helpCommand(false);
  for (const each of group.commands) {
    const listed = isGroup(each)
      ? new CommanderCommand(each.name).usage('COMMAND')
      : new CommanderCommand(each.name).usage(each.operands.map(operandText).join(' '));
    listed.summary(each.summary).description(each.summary).helpOption(false);
    if (each.group !== undefined) listed.helpGroup(`${each.group}:`);
    made.addCommand(listed);
  }
  made.configureHelp({ subcommandTerm: (one) => `${one.name()} ${one.usage()}`.trimEnd() });
  return made.addHelpText('after', lines([...(group.details ?? [])]));
}

function commandOf(command: Command, name: string): CommanderCommand {
  const made = new CommanderCommand(name)
    .description(command.summary)
    .usage(usageOf(command, '').trimStart())
    .allowExcessArguments()
    .helpOption(false);
  for (const operand of command.operands) made.addArgument(argumentOf(operand));
  for (const { name: long, option, common } of optionsOf(command))
    made.addOption(optionOf(long, option).helpGroup(common ? 'Common options:' : 'Options:'));
  made.addHelpOption(optionOf('help', HELP).helpGroup('Common options:'));
  const { details = [], examples = [] } = command;
  const called = name.slice(0, name.lastIndexOf(' '));
  made.addHelpText('after', lines(details));
  if (examples.length > 0)
    made.addHelpText('after', `\nExamples:\n${examples.map((each) => `  ${called} ${each}`).join('\n')}`);
  return made;
}

function lines(texts: readonly string[]): string {
  return texts.length === 0 ? '' : `\n${texts.join('\n')}`;
}

/** Its number is checked after Commander, which knows "many" in the last place only. */
function argumentOf(operand: Operand): Argument {
  const argument = new Argument(`[${operand.name}]`, operand.help);
  argument.variadic = false;
  argument.name = () => operandText(operand);
  return argument;
}

function optionOf(long: string, { short, value, help, choices }: Option): CommanderOption {
  const flags = `${short === undefined ? '' : `-${short}, `}--${long}${value === undefined ? '' : ` <${value}>`}`;
  const option = new CommanderOption(flags, help);
  if (choices !== undefined) option.choices(choices);
  return option;
}

/** Under which Commander keeps its value. */
function keyOf(long: string): string {
  return long.replace(/-(.)/g, (_, letter: string) => letter.toUpperCase());
}
