/** filerpair mv: rename a file or directory within an export. */
import { isDeepStrictEqual } from 'node:util';
import { formatAddress } from '../../transport-address.ts';
import { type Command, CommandError } from '../command.ts';
import { nfsUrl, withSession } from '../session.ts';

export const mv: Command = {
  name: 'mv',
  summary: 'rename a file or directory within an export',
  group: 'Files',
  target: 'export',
  operands: [
    { name: 'URL', help: 'what it is called' },
    { name: 'NEW-URL', help: 'what it is called afterwards' },
  ],
  details: [
    'An existing file of the new name is replaced. A new name that ends in / names a directory to move into.',
  ],
  dryRun: true,
  run: ([from, to], _flags, common, world) =>
    withSession(from!, common, world, async ({ client, path, url }) => {
      const target = nfsUrl(to!);
      const base = client.exportPath === '/' ? '' : client.exportPath;
      const inside = target.path === base || target.path.startsWith(`${base}/`);
      // The same name with other ports is another server: its files are not to be renamed here.
      if (!isDeepStrictEqual(target.endpoints, url.endpoints) || !inside) {
        throw new CommandError(
          `${to} is not in the export ${client.exportPath} of ${formatAddress(url.endpoints.primary)}: use cp and rm`,
        );
      }
      let name = target.path.slice(base.length + 1);
      if (/\/(\?.*)?$/.test(to!)) name = `${name}/${path.split('/').pop()}`;
      if (common.dryRun) return world.stdout.line(`would rename ${path} to ${name} in ${client.exportPath}`);
      await client.rename(path, name);
    }),
};
