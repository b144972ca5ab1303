/** filerpair rm: remove files, or with -r directories. */
import { type Command, CommandError } from '../command.ts';
import { forEachOperand } from '../each-operand.ts';
import { withSession } from '../session.ts';

export const rm: Command = {
  name: 'rm',
  form: 'rm [-r] URL...',
  summary: 'remove files, or with -r directories',
  details: ['-r  directories with all they hold'],
  flags: { recursive: { type: 'boolean', short: 'r' } },
  count: [1, 1000],
  async run(urls, flags, common, world) {
    await forEachOperand(urls, world, (url) =>
      withSession(url, common, world, async ({ client, path }) => {
        const found = await client.lstat(path);
        if (!found.isDirectory()) return client.unlink(path);
        if (flags['recursive'] !== true)
          throw new CommandError(`${client.exportPath}/${path} is a directory: remove it with -r`);
        if (path === '') throw new CommandError(`${client.exportPath} is the export itself: it stays`);
        await client.rm(path, { recursive: true, signal: world.stop });
      }),
    );
  },
};
