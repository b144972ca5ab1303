/** filerpair cp: copy files between this machine and exports, in any direction. */
import { once } from 'node:events';
import type { FilerPairClient } from '../../filer-pair-client.ts';
import { isNfsUrl } from '../../url.ts';
import {
  type Command,
  CommandError,
  type CommonOptions,
  type Flags,
  type Options,
  type Surroundings,
  UsageError,
} from '../command.ts';
import { forEachOperand } from '../each-operand.ts';
import { expanded } from '../glob.ts';
import { LocalPlace, NfsPlace, type Place, type PlaceInfo } from '../place.ts';
import { Progress } from '../progress.ts';
import { connect, nfsUrl } from '../session.ts';

const OPTIONS: Options = {
  recursive: {
    short: 'r',
    help: 'directories with all they hold; symbolic links inside are copied as links, not followed',
  },
};

export const cp: Command = {
  name: 'cp',
  summary: 'copy files between this machine and exports, in any direction',
  group: 'Files',
  target: 'export',
  operands: [
    { name: 'SOURCE', many: true, completes: 'file' },
    { name: 'TARGET', completes: 'file' },
  ],
  details: [
    'SOURCE and TARGET are local paths or nfs:// URLs. A TARGET that is a directory receives the sources.',
    'A copy is complete when the command ends: its data is on the disk, also after a failover. Until then a file',
    'that it replaces is still there: the copy has a temporary name beside it (.filerpair-*.part).',
    'What a killed copy leaves under such a name, a later copy into the same directory removes.',
  ],
  options: OPTIONS,
  cleansUp: true,
  run: (positional, flags, common, world) => copyAll(positional, flags, common, world),
};

export const put: Command = {
  name: 'put',
  summary: 'copy local files to an export',
  group: 'Files',
  target: 'export',
  operands: [{ name: 'FILE', many: true, completes: 'file' }, { name: 'URL' }],
  details: [
    'Like cp, but refuses a target that is not an nfs:// URL: nothing local is overwritten by mistake.',
  ],
  options: OPTIONS,
  cleansUp: true,
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
  // What the user names is followed through symbolic links; what lies below is copied as it is.
  const place = async (text: string): Promise<Place> => {
    if (!isNfsUrl(text)) return new LocalPlace(text).followed();
    const url = nfsUrl(text);
    const client = await connect(text, common, world);
    opened.push(client);
    return new NfsPlace(client, url, client.subPath).followed();
  };
  try {
    const text = positional[positional.length - 1]!;
    const target = await place(text);
    const targetInfo = await target.info();
    const sources = await expanded(positional.slice(0, -1), common, world);
    const into = targetInfo?.kind === 'Directory';
    const tidied = new Set<string>();
    if (sources.length > 1 && !into) {
      throw new CommandError(`${target.label} is not a directory: ${sources.length} sources need one`);
    }
    await forEachOperand(sources, world, async (each) => {
      const source = await place(each);
      const info = await source.info();
      if (info === null) throw new CommandError(`${source.label}: no such file or directory`);
      if (info.kind === 'Link') throw new CommandError(`${source.label} is a symbolic link to nothing`);
      if (namesDirectory(text) && !into && (targetInfo !== null || info.kind !== 'Directory')) {
        throw new CommandError(`${text} is not a directory`);
      }
      const end = into ? target.child(source.name) : target;
      await copy(source, info, end, {
        recursive: flags['recursive'] === true,
        made: new Set(),
        tidied,
        world,
      });
    });
  } finally {
    // Every copy is on its disk by now, or given up.
    for (const client of opened) client.destroy();
  }
}

/** A name that ends in a slash is that of a directory and of nothing else. */
function namesDirectory(text: string): boolean {
  return isNfsUrl(text) ? /\/(\?.*)?$/.test(text) : text.endsWith('/');
}

interface Copy {
  readonly recursive: boolean;
  /** Identities of the directories that receive something. */
  readonly made: Set<string>;
  /** Directories in which nothing is left of killed copies. */
  readonly tidied: Set<string>;
  readonly world: Surroundings;
}

async function copy(source: Place, info: PlaceInfo, target: Place, how: Copy): Promise<void> {
  const there = await target.info();
  if (there?.identity === info.identity)
    throw new CommandError(`${source.label} and ${target.label} are the same ${kindOf(info)}`);
  if (there?.kind === 'Directory' && info.kind !== 'Directory')
    throw new CommandError(`${target.label} is a directory: ${source.label} does not replace it`);
  if (info.kind === 'File') return copyFile(source, info, target, there, how);
  if (info.kind === 'Link') return target.makeLink(await source.readLink());
  if (info.kind === 'Other') throw new CommandError(`${source.label} is neither a file nor a directory`);
  await copyDirectory(source, info, target, how);
}

async function copyDirectory(source: Place, info: PlaceInfo, target: Place, how: Copy): Promise<void> {
  if (!how.recursive) throw new CommandError(`${source.label} is a directory: copy it with -r`);
  if (how.made.has(info.identity))
    throw new CommandError(
      `${source.label} is a part of this copy: a directory cannot be copied into itself`,
    );
  await target.makeDirectory(info.mode & 0o777);
  how.made.add((await target.info())!.identity);
  for (const name of await source.list()) {
    const child = source.child(name);
    const childInfo = await child.info();
    // Gone meanwhile, or a device: a copy of a directory goes on without it, and says so.
    if (childInfo === null || childInfo.kind === 'Other') {
      const why = childInfo === null ? 'it is gone' : 'no file';
      how.world.stderr.line(`filerpair: ${child.label} left out: ${why}`);
      continue;
    }
    await copy(child, childInfo, target.child(name), how);
  }
}

function kindOf(info: PlaceInfo): string {
  return info.kind === 'Directory' ? 'directory' : 'file';
}

async function copyFile(
  source: Place,
  info: PlaceInfo,
  target: Place,
  there: PlaceInfo | null,
  { tidied, world }: Copy,
): Promise<void> {
  const sink = await target.write(info.mode & 0o777, there);
  const progress = new Progress(world.stderr, source.name, info.size);
  const transfer = async () => {
    if (!tidied.has(target.parent)) {
      tidied.add(target.parent);
      // A courtesy: the copy does not depend on it.
      await target.tidy().catch(() => {});
    }
    let offset = 0;
    for await (const part of source.read()) {
      world.stop.throwIfAborted();
      await sink.write(offset, part);
      offset += part.length;
      progress.add(part.length);
    }
    await sink.finish();
  };
  const over = new AbortController();
  try {
    // Whatever the copy waits for, an interruption ends it.
    await Promise.race([transfer(), stopped(world.stop, over.signal)]);
  } catch (error) {
    progress.abandon();
    // The first error is the one that counts.
    await sink.abandon().catch(() => {});
    throw error;
  } finally {
    over.abort();
  }
  progress.finish();
}

/** Rejects when the process is asked to stop, or when `over` says that the copy has ended. */
async function stopped(stop: AbortSignal, over: AbortSignal): Promise<never> {
  if (!stop.aborted) await once(stop, 'abort', { signal: over });
  throw stop.reason;
}
