/** Lists of a command, in the form that was asked for: a table for people, JSON or YAML for programs. */
import { stringify } from 'yaml';
import type { Flags } from './command.ts';
import type { Terminal } from './terminal.ts';

export interface Shown {
  /** As JSON and YAML have it. */
  readonly value: unknown;
  readonly table: () => string;
  /** The table with more columns; absent: the table has all. */
  readonly wide?: () => string;
}

export type Format = 'json' | 'yaml' | 'wide' | 'table';

export function formatOf(flags: Flags): Format {
  if (flags['json'] === true) return 'json';
  const { output } = flags;
  return output === 'json' || output === 'yaml' || output === 'wide' ? output : 'table';
}

export function show(stdout: Terminal, flags: Flags, shown: Shown): void {
  stdout.write(textOf(formatOf(flags), shown));
}

function textOf(format: Format, { value, table, wide = table }: Shown): string {
  switch (format) {
    case 'json':
      return `${JSON.stringify(value, null, 2)}\n`;
    case 'yaml':
      return stringify(value);
    case 'wide':
      return wide();
    case 'table':
      return table();
  }
}
