/** filerpair stat: show what is known of a file, and of the volume that holds it. */
import { NF3LNK } from '../../../protocol/nfs3.ts';
import type { Command } from '../command.ts';
import { attributesValue, modeText, sizeText, table, timeText, typeWord } from '../listing.ts';
import { show } from '../output.ts';
import { withSession } from '../session.ts';

export const stat: Command = {
  name: 'stat',
  summary: 'show what is known of a file, and of the volume that holds it',
  group: 'Files',
  target: 'export',
  operands: [{ name: 'URL' }],
  lists: true,
  run: ([url], flags, common, world) =>
    withSession(url!, common, world, async ({ client, path }) => {
      const { attributes } = await client.lstat(path);
      const space = await client.nfs.fsstat(client.root);
      const rows: string[][] = [
        ['path', `${client.exportPath === '/' ? '' : client.exportPath}/${path}`.replace(/\/$/, '') || '/'],
        ['type', typeWord(attributes)],
      ];
      const target = attributes.type === NF3LNK ? await client.readlink(path) : undefined;
      if (target !== undefined) rows.push(['points to', target]);
      const { mode, uid, gid, nlink, size, used, fileid, fsid, atime, mtime, ctime } = attributes;
      rows.push(
        ['size', `${size} (${sizeText(size)}; ${sizeText(used)} on the disk)`],
        ['mode', `${modeText(attributes)} (${mode.toString(8).padStart(4, '0')})`],
        ['owner', `${uid}:${gid}`],
        ['links', `${nlink}`],
        ['modified', `${timeText(mtime)} UTC`],
        ['changed', `${timeText(ctime)} UTC`],
        ['read', `${timeText(atime)} UTC`],
        ['file id', `${fileid} on ${fsid.toString(16)}`],
        ['volume', `${sizeText(space.abytes)} free of ${sizeText(space.tbytes)}`],
        ['served at', `the ${client.port ?? 'unknown'} port`],
      );
      const value = {
        path: rows[0]![1],
        ...attributesValue(attributes),
        ...(target !== undefined && { target }),
        volume: { free: space.abytes, size: space.tbytes },
        servedAt: client.port,
      };
      show(world.stdout, flags, { value, table: () => table(rows) });
    }),
};
