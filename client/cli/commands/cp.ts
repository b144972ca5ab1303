/** filerpair cp: copy files between this machine and exports, in any direction. */
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
import { LocalPlace } from '../copy/local-place.ts';
import { nfsPlace } from '../copy/nfs-place.ts';
import type { Place } from '../copy/place.ts';
import { standardInput, standardOutput } from '../copy/stream-place.ts';
import { Interruptions, summary } from '../copy/summary.ts';
import { TreeCopy } from '../copy/tree-copy.ts';
import { forEachOperand } from '../each-operand.ts';
import { expanded } from '../glob.ts';
import { Progress } from '../progress.ts';
import { connect, nfsUrl } from '../session.ts';

export const COPY_OPTIONS: Options = {
  recursive: {
    short: 'r',
    help: 'directories with all they hold; symbolic links inside are copied as links, not followed',
  },
  preserve: { short: 'p', help: 'times, exact modes and, where that is permitted, owners' },
  checksum: { help: 'leave out files that have the same content, and read again what was written' },
  resume: {
    help: 'go on where a copy was interrupted: files of the same size and time are left out, half a file is continued; implies -p',
  },
  'refuse-links': { help: 'a symbolic link inside a directory is an error' },
  quiet: { short: 'q', help: 'no line about what was copied' },
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
    'SOURCE and TARGET are local paths or nfs:// URLs, or - for standard input and output. A TARGET that is a directory',
    'receives the sources. A URL as SOURCE may hold patterns: *, [a-z], {a,b}.',
    'A copy is complete when the command ends: its data is on the disk, also after a failover. Until then a file',
    'that it replaces is still there: the copy has a temporary name beside it (.filerpair-*.part).',
    'What a killed copy leaves under such a name, a later copy into the same directory removes, or continues (--resume).',
    'What fails for one file is said, and the others are copied. Hard links become files of their own.',
  ],
  examples: [
    'cp -r ./mail nfs://filer-a/home/ada',
    'cp -r --resume nfs://filer-a/home/ada/video .',
    "cp 'nfs://filer-a/home/ada/*.txt' .",
  ],
  options: COPY_OPTIONS,
  dryRun: true,
  cleansUp: true,
  run: (positional, flags, common, world) => copyAll(positional, flags, common, world),
};

export async function copyAll(
  positional: readonly string[],
  flags: Flags,
  common: CommonOptions,
  world: Surroundings,
): Promise<void> {
  const begunMs = performance.now();
  const interruptions = new Interruptions();
  const opened: FilerPairClient[] = [];
  // A path that the user names is followed through symbolic links; everything below is copied as it is.
  const place = async (text: string): Promise<Place> => {
    if (!isNfsUrl(text)) return new LocalPlace(text).followed();
    const key = {};
    const client = await connect(text, common, world, (event) => interruptions.hear(key, event));
    opened.push(client);
    return (await nfsPlace(client, nfsUrl(text))).followed();
  };
  const sources = await expanded(positional.slice(0, -1), common, world);
  const text = positional[positional.length - 1]!;
  const progress = new Progress(
    world.stderr,
    sources.length === 1 ? lastName(sources[0]!) : `${sources.length} sources`,
  );
  const copy = new TreeCopy(
    {
      recursive: flags['recursive'] === true,
      preserve: flags['preserve'] === true || flags['resume'] === true,
      checksum: flags['checksum'] === true,
      resume: flags['resume'] === true,
      refuseLinks: flags['refuse-links'] === true,
      dryRun: common.dryRun,
      stop: world.stop,
    },
    world,
    (count) => progress.add(count),
  );
  try {
    const target = text === '-' ? standardOutput(world) : await place(text);
    const targetInfo = await target.info();
    const into = targetInfo?.kind === 'Directory';
    if (sources.length > 1 && !into && text !== '-')
      throw new CommandError(`${target.label} is not a directory: ${sources.length} sources need one`);
    await forEachOperand(sources, world, async (each) => {
      const source = each === '-' ? standardInput(world) : await place(each);
      const info = await source.info();
      if (info === null) throw new CommandError(`${source.label}: no such file or directory`);
      if (info.kind === 'Link') throw new CommandError(`${source.label} is a symbolic link to nothing`);
      if (namesDirectory(text) && !into && (targetInfo !== null || info.kind !== 'Directory'))
        throw new CommandError(`${text} is not a directory`);
      if (text === '-' && info.kind === 'Directory')
        throw new CommandError(`${source.label} is a directory: standard output takes files`);
      if (into && each === '-')
        throw new UsageError(`${text} is a directory: name the file that standard input becomes`);
      if (sources.length === 1 && info.kind === 'File') progress.expect(info.size);
      await copy.copy(source, info, into ? target.child(source.name) : target);
    });
    progress.finish();
    if (flags['quiet'] !== true && !common.dryRun)
      world.stderr.line(summary(copy.counts, performance.now() - begunMs, interruptions));
  } catch (error) {
    progress.abandon();
    throw error;
  } finally {
    // Every copy is on its disk by now, or given up.
    for (const client of opened) client.destroy();
  }
}

function lastName(text: string): string {
  return (
    text
      .replace(/\?.*$/, '')
      .split('/')
      .filter((name) => name !== '')
      .pop() ?? text
  );
}

/** A name that ends in a slash is that of a directory and of nothing else. */
function namesDirectory(text: string): boolean {
  return isNfsUrl(text) ? /\/(\?.*)?$/.test(text) : text.endsWith('/');
}
