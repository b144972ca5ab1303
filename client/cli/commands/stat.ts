/** filerpair stat: show what is known of a file, and of the volume that holds it. */
import { NF3LNK } from '../../../protocol/nfs3.ts';
import type { Command } from '../command.ts';
import { modeText, sizeText, table, timeText, typeWord } from '../listing.ts';
import { withSession } from '../session.ts';

export const stat: Command = {
  name: 'stat',
  form: 'stat URL',
  summary: 'show what is known of a file, and of the volume that holds it',
  details: [],
  flags: {},
  count: [1, 1],
  run: ([url], _flags, common, world) =>
    withSession(url!, common, world, async ({ client, path }) => {
      const { attributes } = await client.lstat(path);
      const space = await client.nfs.fsstat(client.root);
      const rows: string[][] = [
        ['path', `${client.exportPath === '/' ? '' : client.exportPath}/${path}`.replace(/\/$/, '') || '/'],
        ['type', typeWord(attributes)],
      ];
      if (attributes.type === NF3LNK) rows.push(['points to', await client.readlink(path)]);
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
      world.stdout.write(table(rows));
    }),
};
