/** filerpair cat: write files to standard output. */
import { once } from 'node:events';
import type { Command } from '../command.ts';
import { forEachOperand } from '../each-operand.ts';
import { withSession } from '../session.ts';

export const cat: Command = {
  name: 'cat',
  form: 'cat URL...',
  summary: 'write files to standard output',
  details: [],
  flags: {},
  count: [1, 1000],
  async run(urls, _flags, common, world) {
    await forEachOperand(urls, world, (url) =>
      withSession(url, common, world, async ({ client, path }) => {
        for await (const part of client.read(path)) {
          if (!world.bytes.write(part)) await once(world.bytes, 'drain');
        }
      }),
    );
  },
};
