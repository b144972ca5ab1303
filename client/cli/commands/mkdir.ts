/** filerpair mkdir: make directories. */
import type { Command } from '../command.ts';
import { forEachOperand } from '../each-operand.ts';
import { withSession } from '../session.ts';

export const mkdir: Command = {
  name: 'mkdir',
  summary: 'make directories',
  group: 'Files',
  target: 'export',
  operands: [{ name: 'URL', many: true }],
  options: { parents: { short: 'p', help: 'missing parents too; what is there already is no error' } },
  dryRun: true,
  async run(urls, flags, common, world) {
    await forEachOperand(urls, world, (url) =>
      withSession(url, common, world, async ({ client, path, label }) => {
        if (common.dryRun) return world.stdout.line(`would make directory ${label}`);
        await client.mkdir(path, { recursive: flags['parents'] === true });
      }),
    );
  },
};
