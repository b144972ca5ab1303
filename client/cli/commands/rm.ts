/** filerpair rm: remove files, or with -r directories. */
import { NF3DIR } from '../../../protocol/nfs3.ts';
import type { FilerPairClient } from '../../filer-pair-client.ts';
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
        const attributes = await client.lstat(path);
        if (attributes.type !== NF3DIR) return client.remove(path);
        if (flags['recursive'] !== true)
          throw new CommandError(`${client.exportPath}/${path} is a directory: remove it with -r`);
        if (path === '') throw new CommandError(`${client.exportPath} is the export itself: it stays`);
        await removeTree(client, path, world.stop);
      }),
    );
  },
};

async function removeTree(client: FilerPairClient, path: string, stop: AbortSignal): Promise<void> {
  for (const entry of await client.readdir(path)) {
    stop.throwIfAborted();
    const child = `${path}/${entry.name}`;
    const attributes = entry.attributes ?? (await client.lstat(child));
    if (attributes.type === NF3DIR) await removeTree(client, child, stop);
    else await client.remove(child);
  }
  await client.rmdir(path);
}
