/** filerpair ls: list a directory. */
import { type fattr3, NF3DIR, NF3LNK } from '../../../protocol/nfs3.ts';
import type { FilerPairClient } from '../../filer-pair-client.ts';
import type { Command } from '../command.ts';
import { attributesValue, modeText, table, timeText } from '../listing.ts';
import { show } from '../output.ts';
import { withSession } from '../session.ts';
import { oneLine } from '../terminal.ts';

export const ls: Command = {
  name: 'ls',
  summary: 'list a directory',
  group: 'Files',
  target: 'export',
  operands: [{ name: 'URL' }],
  options: {
    long: { short: 'l', help: 'mode, links, owner, group, size and time of each; -o wide is the same' },
    all: { short: 'a', help: 'also names that begin with a dot' },
  },
  lists: true,
  run: ([url], flags, common, world) =>
    withSession(url!, common, world, async ({ client, path }) => {
      const { attributes } = await client.lookup(path);
      const entries =
        attributes.type === NF3DIR
          ? await entriesOf(client, path)
          : [{ nameBytes: Buffer.from(path.split('/').pop() ?? path), path, attributes }];
      const shown = entries.filter((each) => flags['all'] === true || each.nameBytes[0] !== DOT);
      shown.sort((a, b) => Buffer.compare(a.nameBytes, b.nameBytes));
      const targets = await linkTargets(client, shown);
      const long = () => longTable(shown, targets);
      show(world.stdout, flags, {
        value: shown.map((each, i) => asValue(each, targets[i])),
        table: flags['long'] === true ? long : () => short(shown),
        wide: long,
      });
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

/** Where the symbolic links among them point to. */
function linkTargets(
  client: FilerPairClient,
  entries: readonly Listed[],
): Promise<readonly (string | undefined)[]> {
  return Promise.all(
    entries.map(({ path, attributes }) => (attributes.type === NF3LNK ? client.readlink(path) : undefined)),
  );
}

function longTable(entries: readonly Listed[], targets: readonly (string | undefined)[]): string {
  const rows = entries.map(({ nameBytes, attributes }, i) => {
    const { nlink, uid, gid, size, mtime } = attributes;
    const name = nameBytes.toString();
    const target = targets[i];
    return [
      modeText(attributes),
      `${nlink}`,
      `${uid}`,
      `${gid}`,
      `${size}`,
      timeText(mtime),
      target === undefined ? name : `${name} -> ${target}`,
    ];
  });
  return table(rows, [1, 2, 3, 4]);
}

function asValue({ nameBytes, attributes }: Listed, target: string | undefined): object {
  return {
    name: nameBytes.toString(),
    ...attributesValue(attributes),
    ...(target !== undefined && { target }),
  };
}
