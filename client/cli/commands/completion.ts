/** filerpair completion: print the completion script of a shell. */
import type { Command } from '../command.ts';
import { SCRIPTS } from '../completion/scripts.ts';

export const completion: Command = {
  name: 'completion',
  summary: 'print what makes a shell complete commands, options and names',
  group: 'This program',
  target: 'other',
  operands: [{ name: 'SHELL', help: 'bash, zsh, fish, or kubectl', choices: Object.keys(SCRIPTS) }],
  details: ['The script says in its first lines where it belongs.'],
  examples: ['completion bash > ~/.local/share/bash-completion/completions/filerpair'],
  async run([shell], _flags, _common, world) {
    world.stdout.write(SCRIPTS[shell as keyof typeof SCRIPTS]);
  },
};
