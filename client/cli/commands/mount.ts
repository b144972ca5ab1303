/** filerpair mount and umount: an export of a pair in the file system of this machine. */
import { resolve } from 'node:path';
import { type Command, CommandError, type Surroundings, UsageError } from '../command.ts';
import { nfsUrl } from '../session.ts';

const STATE = {
  value: 'DIRECTORY',
  help: 'which virtual address stands for which pair (default /var/lib/filerpair/node, with --private /var/lib/filerpair/private)',
  completes: 'file',
} as const;
const WAYS = ['auto', 'kernel', 'proxy'] as const;

export const mount: Command = {
  name: 'mount',
  summary: "mount an export with the kernel's NFS client",
  group: 'Servers',
  target: 'other',
  operands: [{ name: 'URL' }, { name: 'DIRECTORY', completes: 'file' }],
  details: [
    "By the kernel's path where this machine can: no process of ours carries data, and filerpair node, which is started if it",
    'does not run, keeps the mount at the server that serves. Else through filerpair proxy. It says which.',
    'In fstab, with a link /sbin/mount.filerpair to this program: nfs://filer-a/home /mnt filerpair _netdev 0 0',
  ],
  options: {
    options: { value: 'OPTIONS', short: 'o', help: "more options of the kernel's client, as of mount -o" },
    private: { help: 'in a network namespace of its own: no other program reaches the virtual address' },
    by: { value: 'WAY', choices: WAYS, help: 'the way to the servers (default auto)' },
    state: STATE,
  },
  async run([text, directory], flags, _, world) {
    const { mountPair } = await import('../../mounting/mount.ts');
    const { NodeState } = await import('../../node/state.ts');
    const by = (flags['by'] as (typeof WAYS)[number] | undefined) ?? 'auto';
    if (!WAYS.includes(by)) throw new UsageError(`--by ${by}: not one of ${WAYS.join(', ')}`);
    const isPrivate = flags['private'] === true;
    if (isPrivate && by === 'proxy')
      throw new UsageError("--private goes by the kernel's path, and --by proxy does not");
    await mountPair({
      text: text!,
      url: nfsUrl(text!),
      target: resolve(directory!),
      options: flags['options'] as string | undefined,
      by,
      state: new NodeState(flags['state'] as string | undefined, isPrivate),
      program: world.program,
      runtimeDirectory: runtimeDirectoryOf(world),
      say: (line) => world.stdout.line(line),
    }).catch(asCommandError);
  },
};

export const umount: Command = {
  name: 'umount',
  summary: 'end a mount, and what was started for it',
  group: 'Servers',
  target: 'other',
  operands: [{ name: 'DIRECTORY', completes: 'file' }],
  options: {
    lazy: { help: 'now from the tree, and entirely when it is not used any more (umount -l)' },
    state: STATE,
  },
  async run([directory], flags, _, world) {
    const { unmountPair } = await import('../../mounting/mount.ts');
    const { NodeState } = await import('../../node/state.ts');
    await unmountPair({
      target: resolve(directory!),
      lazy: flags['lazy'] === true,
      states: [false, true].map(
        (isPrivate) => new NodeState(flags['state'] as string | undefined, isPrivate),
      ),
      runtimeDirectory: runtimeDirectoryOf(world),
    }).catch(asCommandError);
  },
};

function runtimeDirectoryOf({ runtimeDirectory }: Surroundings): string {
  if (runtimeDirectory === null) throw new CommandError('XDG_RUNTIME_DIR is not set');
  return runtimeDirectory;
}

function asCommandError(error: Error): never {
  throw new CommandError(error.message);
}
