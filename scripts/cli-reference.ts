/** Writes docs/cli.md, the reference of the command line, from what the commands say about themselves; `--check` fails if it differs. */
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { type CommandGroup, type Entry, isGroup } from '../client/cli/command.ts';
import { FILES, PAIRS } from '../client/cli/commands/index.ts';
import { helpOf } from '../client/cli/parser.ts';

const PATH = join(import.meta.dirname, '../docs/cli.md');
/** Of a page of docs. Characters. */
const COLUMNS = 110;

const fenced = (text: string): string => `\`\`\`text\n${text.trimEnd()}\n\`\`\`\n`;

function section(entry: Entry, name: string): string {
  return `### ${name}\n\n${fenced(helpOf(entry, name, COLUMNS))}`;
}

function sections(group: CommandGroup): string[] {
  return group.commands
    .filter((entry) => !isGroup(entry))
    .map((entry) => section(entry, `${group.name} ${entry.name}`));
}

const page = `# The command line: reference

Generated from the commands (\`make generate\`): each says the same after \`help\`. [client.md](client.md#the-command) explains files on a pair,
[operator.md](operator.md) the pairs of a cluster.

## filerpair

${fenced(helpOf(FILES, FILES.name, COLUMNS))}
${sections(FILES).join('\n')}
## kubectl filerpair

${fenced(helpOf(PAIRS, PAIRS.name, COLUMNS))}
${sections(PAIRS).join('\n')}`;

if (process.argv[2] !== '--check') writeFileSync(PATH, page);
else if (readFileSync(PATH, 'utf8') !== page) {
  console.error('docs/cli.md is not what the commands say: make generate');
  process.exitCode = 1;
}
