/** filerpair node: lets the kernel's NFS client follow pairs, without a process in the data path. */
import { whyNoKernelPath } from '../../node/kernel-path-missing.ts';
import type { SupervisorOptions } from '../../node/supervisor.ts';
import { type Command, CommandError, type Surroundings } from '../command.ts';

export const node: Command = {
  name: 'node',
  summary: "let the kernel's NFS client follow pairs, without a process in the data path",
  group: 'Servers',
  target: 'other',
  operands: [],
  details: [
    'Runs as root until it is stopped. Mounts whose source is a virtual address go straight to the server that serves; when',
    'that changes, their connections do too. Mounts go on while this program is stopped or replaced, but nothing fails over',
    'meanwhile: let systemd supervise it.',
  ],
  options: {
    state: {
      value: 'DIRECTORY',
      help: 'which virtual address stands for which pair (default /var/lib/filerpair/node)',
      completes: 'file',
    },
    private: { help: 'for mounts in a network namespace of their own (filerpair mount --private)' },
    'while-used': { help: 'end when no virtual address is left, as filerpair mount starts it' },
  },
  runsOn: true,
  async run(_, flags, common, world) {
    const missing = await whyNoKernelPath();
    if (missing !== null)
      throw new CommandError(`no kernel path here: ${missing}. Use filerpair proxy instead`);
    // Not at the top: it loads native code, which no other command needs.
    const { Supervisor } = await import('../../node/supervisor.ts');
    const supervise = (options: SupervisorOptions) => {
      try {
        return new Supervisor(options);
      } catch (error) {
        throw new CommandError((error as Error).message);
      }
    };
    const { NodeState } = await import('../../node/state.ts');
    const { untilUnused } = await import('../../node/until-unused.ts');
    const isPrivate = flags['private'] === true;
    const state = new NodeState(flags['state'] as string | undefined, isPrivate);
    const supervisor = supervise({
      stateDirectory: state.directory,
      verbose: common.verbose,
      isPrivate,
    });
    const unused = flags['while-used'] === true ? untilUnused(state).then(() => 'unused' as const) : null;
    const why = await Promise.race([stopped(world), ...(unused === null ? [] : [unused])]);
    await supervisor.stop();
    if (isPrivate && why === 'unused') await leaveNothingPrivate();
  },
};

async function leaveNothingPrivate(): Promise<void> {
  const { Masquerade } = await import('../../node/masquerade.ts');
  const { removePrivateNamespace } = await import('../../node/private-namespace.ts');
  const masquerade = new Masquerade();
  masquerade.remove();
  masquerade.close();
  removePrivateNamespace();
}

function stopped({ stop }: Surroundings): Promise<void> {
  return new Promise((resolve) => {
    if (stop.aborted) resolve();
    else stop.addEventListener('abort', () => resolve(), { once: true });
  });
}
