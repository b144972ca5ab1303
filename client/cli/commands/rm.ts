/** filerpair rm: remove files, or with -r directories. */
import { type Command, CommandError } from '../command.ts';
import { forEachOperand } from '../each-operand.ts';
import { expanded } from '../glob.ts';
import { withSession } from '../session.ts';

export const rm: Command = {
  name: 'rm',
  summary: 'remove files, or with -r directories',
  group: 'Files',
  target: 'export',
  operands: [{ name: 'URL', many: true, help: 'may hold patterns: *, [a-z], {a,b}' }],
  options: { recursive: { short: 'r', help: 'directories with all they hold' } },
  dryRun: true,
  async run(urls, flags, common, world) {
    await forEachOperand(await expanded(urls, common, world), world, (url) =>
      withSession(url, common, world, async ({ client, path, label }) => {
        const found = await client.lstat(path);
        const isDirectory = found.isDirectory();
        if (!isDirectory && !common.dryRun) return client.unlink(path);
        if (!isDirectory) return world.stdout.line(`would remove ${label}`);
        if (flags['recursive'] !== true)
          throw new CommandError(`${client.exportPath}/${path} is a directory: remove it with -r`);
        if (path === '') throw new CommandError(`${client.exportPath} is the export itself: it stays`);
        if (common.dryRun) return world.stdout.line(`would remove directory ${label} with all it holds`);
        await client.rm(path, { recursive: true, signal: world.stop });
      }),
    );
  },
};
