/** filerpair cat: write files to standard output. */
import { once } from 'node:events';
import type { Command } from '../command.ts';
import { forEachOperand } from '../each-operand.ts';
import { expanded } from '../glob.ts';
import { withSession } from '../session.ts';

export const cat: Command = {
  name: 'cat',
  summary: 'write files to standard output',
  group: 'Files',
  target: 'export',
  operands: [{ name: 'URL', many: true, help: 'may hold patterns: *, [a-z], {a,b}' }],
  async run(urls, _flags, common, world) {
    await forEachOperand(await expanded(urls, common, world), world, (url) =>
      withSession(url, common, world, async ({ client, path }) => {
        for await (const part of client.read(path)) {
          if (!world.bytes.write(part)) await once(world.bytes, 'drain');
        }
      }),
    );
  },
};
