/** filerpair mkdir: make directories. */
import type { Command } from '../command.ts';
import { forEachOperand } from '../each-operand.ts';
import { withSession } from '../session.ts';

export const mkdir: Command = {
  name: 'mkdir',
  form: 'mkdir [-p] URL...',
  summary: 'make directories',
  details: ['-p  missing parents too; what is there already is no error'],
  flags: { parents: { type: 'boolean', short: 'p' } },
  count: [1, 1000],
  async run(urls, flags, common, world) {
    await forEachOperand(urls, world, (url) =>
      withSession(url, common, world, async ({ client, path }) => {
        await client.mkdir(path, { recursive: flags['parents'] === true });
      }),
    );
  },
};
