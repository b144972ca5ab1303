/** filerpair ls: list a directory. */
import { NF3DIR, NF3LNK } from '../../../protocol/nfs3.ts';
import type { FilerPairClient } from '../../filer-pair-client.ts';
import type { DirectoryEntry } from '../../nfs3-client.ts';
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
      const found = await client.resolve(path);
      const entries =
        found.attributes.type === NF3DIR
          ? await client.readdir(path)
          : [single(path.split('/').pop() ?? path, found.attributes.fileid, found)];
      const shown = entries.filter((each) => flags['all'] === true || !each.name.startsWith('.'));
      shown.sort((a, b) => Buffer.compare(a.nameBytes, b.nameBytes));
      const text = flags['long'] === true ? await long(client, path, shown) : short(shown);
      world.stdout.write(text);
    }),
};

function single(
  name: string,
  fileid: bigint,
  found: Pick<DirectoryEntry, 'handle' | 'attributes'>,
): DirectoryEntry {
  return { name, nameBytes: Buffer.from(name), fileid, handle: found.handle, attributes: found.attributes };
}

function short(entries: readonly DirectoryEntry[]): string {
  return entries.map((each) => `${oneLine(each.name)}\n`).join('');
}

async function long(
  client: FilerPairClient,
  path: string,
  entries: readonly DirectoryEntry[],
): Promise<string> {
  const rows: string[][] = [];
  for (const entry of entries) {
    const attributes = entry.attributes ?? (await client.lstat(`${path}/${entry.name}`));
    let { name } = entry;
    if (attributes.type === NF3LNK) {
      name += ` -> ${await client.readlink(`${path}/${entry.name}`)}`;
    }
    const { nlink, uid, gid, size, mtime } = attributes;
    rows.push([modeText(attributes), `${nlink}`, `${uid}`, `${gid}`, `${size}`, timeText(mtime), name]);
  }
  return table(rows, [1, 2, 3, 4]);
}
