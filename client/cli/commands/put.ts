/** filerpair put: copy local files to an export. */
import { isNfsUrl } from '../../url.ts';
import { type Command, UsageError } from '../command.ts';
import { COPY_OPTIONS, copyAll } from './cp.ts';

export const put: Command = {
  name: 'put',
  summary: 'copy local files to an export',
  group: 'Files',
  target: 'export',
  operands: [{ name: 'FILE', many: true, completes: 'file' }, { name: 'URL' }],
  details: [
    'Like cp, but refuses a target that is not an nfs:// URL: nothing local is overwritten by mistake. FILE may be - for',
    'standard input.',
  ],
  options: COPY_OPTIONS,
  dryRun: true,
  cleansUp: true,
  async run(positional, flags, common, world) {
    const target = positional[positional.length - 1]!;
    if (!isNfsUrl(target)) throw new UsageError(`put copies to an export, but ${target} is no nfs:// URL`);
    await copyAll(positional, flags, common, world);
  },
};
