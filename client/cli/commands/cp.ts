/** filerpair cp: copy files between this machine and exports, in any direction. */
import type { FilerPairClient } from '../../filer-pair-client.ts';
import { isNfsUrl } from '../../url.ts';
import {
  type Command,
  CommandError,
  type CommonOptions,
  type Flags,
  type Surroundings,
  UsageError,
} from '../command.ts';
import { LocalPlace, NfsPlace, type Place, type PlaceInfo } from '../place.ts';
import { Progress } from '../progress.ts';
import { connect, nfsUrl } from '../session.ts';

export const cp: Command = {
  name: 'cp',
  form: 'cp [-r] SOURCE... TARGET',
  summary: 'copy files between this machine and exports, in any direction',
  details: [
    'SOURCE and TARGET are local paths or nfs:// URLs. A TARGET that is a directory receives the sources.',
    'A copy to an export is complete when the command ends: its data is on the disk, also after a failover.',
    '-r  directories with all they hold (symbolic links inside are left out)',
  ],
  flags: { recursive: { type: 'boolean', short: 'r' } },
  count: [2, 1000],
  run: (positional, flags, common, world) => copyAll(positional, flags, common, world),
};

export const put: Command = {
  name: 'put',
  form: 'put [-r] FILE... URL',
  summary: 'copy local files to an export',
  details: [
    'Like cp, but refuses a target that is not an nfs:// URL: nothing local is overwritten by mistake.',
  ],
  flags: cp.flags,
  count: cp.count,
  async run(positional, flags, common, world) {
    const target = positional[positional.length - 1]!;
    if (!isNfsUrl(target)) throw new UsageError(`put copies to an export, but ${target} is no nfs:// URL`);
    await copyAll(positional, flags, common, world);
  },
};

async function copyAll(
  positional: readonly string[],
  flags: Flags,
  common: CommonOptions,
  world: Surroundings,
): Promise<void> {
  const opened: FilerPairClient[] = [];
  const place = async (text: string): Promise<Place> => {
    if (!isNfsUrl(text)) return new LocalPlace(text);
    const url = nfsUrl(text);
    const client = await connect(url, common, world);
    opened.push(client);
    return new NfsPlace(client, url.server, client.subPath);
  };
  try {
    const target = await place(positional[positional.length - 1]!);
    const targetInfo = await target.info();
    const sources = positional.slice(0, -1);
    const into = targetInfo?.kind === 'Directory';
    if (sources.length > 1 && !into) {
      throw new CommandError(`${target.label} is not a directory: ${sources.length} sources need one`);
    }
    for (const text of sources) {
      const source = await place(text);
      const info = await source.info();
      if (info === null) throw new CommandError(`${source.label}: no such file or directory`);
      const end = into ? target.child(source.name) : target;
      await copy(source, info, end, flags['recursive'] === true, world);
    }
  } finally {
    for (const client of opened) client.close();
  }
}

async function copy(
  source: Place,
  info: PlaceInfo,
  target: Place,
  recursive: boolean,
  world: Surroundings,
): Promise<void> {
  if (info.kind === 'File') return copyFile(source, info, target, world);
  if (info.kind === 'Other') throw new CommandError(`${source.label} is neither a file nor a directory`);
  if (!recursive) throw new CommandError(`${source.label} is a directory: copy it with -r`);
  await target.makeDirectory(info.mode & 0o777);
  for (const name of await source.list()) {
    const child = source.child(name);
    const childInfo = await child.info();
    // Gone meanwhile, or a device: a copy of a directory goes on without it, and says so.
    if (childInfo === null || childInfo.kind === 'Other') {
      world.stderr.write(
        `filerpair: ${child.label} left out: ${childInfo === null ? 'it is gone' : 'no file'}\n`,
      );
      continue;
    }
    await copy(child, childInfo, target.child(name), recursive, world);
  }
}

async function copyFile(source: Place, info: PlaceInfo, target: Place, world: Surroundings): Promise<void> {
  const sink = await target.write(info.mode & 0o777);
  const { stderr: stream, interactive, columns } = world;
  const progress = new Progress({ stream, interactive, columns }, source.name, info.size);
  let offset = 0;
  try {
    for await (const part of source.read()) {
      world.stop.throwIfAborted();
      await sink.write(offset, part);
      offset += part.length;
      progress.add(part.length);
    }
    await sink.finish();
  } catch (error) {
    progress.abandon();
    throw error;
  }
  progress.finish();
}
