/** filerpair ls: list a directory. */
import { type fattr3, NF3DIR, NF3LNK } from '../../../protocol/nfs3.ts';
import type { FilerPairClient } from '../../filer-pair-client.ts';
import type { Command } from '../command.ts';
import { modeText, table, timeText } from '../listing.ts';
import { withSession } from '../session.ts';
import { oneLine } from '../terminal.ts';

export const ls: Command = {
  name: 'ls',
  form: 'ls [-l] [-a] URL',
  summary: 'list a directory',
  details: ['-l  mode, links, owner, group, size and time of each', '-a  also names that begin with a dot'],
  flags: { long: { type: 'boolean', short: 'l' }, all: { type: 'boolean', short: 'a' } },
  count: [1, 1],
  run: ([url], flags, common, world) =>
    withSession(url!, common, world, async ({ client, path }) => {
      const { attributes } = await client.lookup(path);
      const entries =
        attributes.type === NF3DIR
          ? await entriesOf(client, path)
          : [{ nameBytes: Buffer.from(path.split('/').pop() ?? path), path, attributes }];
      const shown = entries.filter((each) => flags['all'] === true || each.nameBytes[0] !== DOT);
      shown.sort((a, b) => Buffer.compare(a.nameBytes, b.nameBytes));
      const text = flags['long'] === true ? await long(client, shown) : short(shown);
      world.stdout.write(text);
    }),
};

const DOT = 0x2e;

interface Listed {
  readonly nameBytes: Buffer;
  /** Below the export. */
  readonly path: Buffer | string;
  readonly attributes: fattr3;
}

async function entriesOf(client: FilerPairClient, path: string): Promise<Listed[]> {
  const found = await client.readdir(path, { withFileTypes: true, encoding: 'buffer' });
  return found.map(({ name, attributes }) => {
    return { nameBytes: name, path: Buffer.concat([Buffer.from(`${path}/`), name]), attributes };
  });
}

function short(entries: readonly Listed[]): string {
  return entries.map((each) => `${oneLine(each.nameBytes.toString())}\n`).join('');
}

async function long(client: FilerPairClient, entries: readonly Listed[]): Promise<string> {
  const rows: string[][] = [];
  for (const { nameBytes, path, attributes } of entries) {
    let name = nameBytes.toString();
    if (attributes.type === NF3LNK) name += ` -> ${await client.readlink(path)}`;
    const { nlink, uid, gid, size, mtime } = attributes;
    rows.push([modeText(attributes), `${nlink}`, `${uid}`, `${gid}`, `${size}`, timeText(mtime), name]);
  }
  return table(rows, [1, 2, 3, 4]);
}
