/** kubectl filerpair support-bundle: one archive, for its owner only. */
import { open } from 'node:fs/promises';
import { type Command, type Flags, UsageError } from '../command.ts';
import { inCluster, PAIR, pairMeant } from './cluster.ts';
import { supportBundle } from './support-bundle.ts';
import { tarGz } from './tar.ts';

export const bundle: Command = {
  name: 'support-bundle',
  summary: 'objects, events and logs of a pair in one archive, without Secrets',
  group: 'Take along',
  target: 'cluster',
  operands: [PAIR],
  options: {
    output: {
      short: 'o',
      value: 'FILE',
      help: 'where to write it (default: filerpair-NAMESPACE-PAIR.tar.gz)',
      completes: 'file',
    },
  },
  run: ([which], flags, common, world) =>
    inCluster(flags, common, world, async (cluster) => {
      const pair = await pairMeant(cluster, which);
      const file = outputOf(flags) ?? `filerpair-${cluster.namespace}-${pair.metadata.name}.tar.gz`;
      const files = await supportBundle(cluster, pair, Date.now());
      await writeForOwner(file, await tarGz(files, Date.now()));
      world.stdout.line(`${file}: ${files.length} files`);
    }),
};

/** Readable by its owner only, also if the file existed before with other rights. */
export async function writeForOwner(path: string, content: Uint8Array): Promise<void> {
  const file = await open(path, 'w', 0o600);
  try {
    await file.chmod(0o600);
    await file.writeFile(content);
  } finally {
    await file.close();
  }
}

function outputOf(flags: Flags): string | undefined {
  const { output } = flags;
  if (output === '') throw new UsageError('--output needs a file name');
  return typeof output === 'string' ? output : undefined;
}
