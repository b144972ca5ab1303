/** The commands of the two programs: files on a pair, and (as kubectl's plug-in) the pairs of a cluster. */
import type { CommandGroup } from '../command.ts';
import { PAIR_COMMANDS } from '../pairs/commands.ts';
import { cat } from './cat.ts';
import { completion } from './completion.ts';
import { giveback, status, takeover } from './control.ts';
import { cp } from './cp.ts';
import { doctor } from './doctor.ts';
import { ls } from './ls.ts';
import { mkdir } from './mkdir.ts';
import { mount, umount } from './mount.ts';
import { mv } from './mv.ts';
import { node } from './node.ts';
import { probe } from './probe.ts';
import { proxy } from './proxy.ts';
import { put } from './put.ts';
import { rm } from './rm.ts';
import { stat } from './stat.ts';

// A new command has a file of its own and its place here, in the order of the help. Help, completion, docs/cli.md and the
// checks of the command line come from what it says about itself (command.ts).

const EXIT_CODES = [
  'Exit code: 0 done, 1 failed or refused, 2 wrong command line, 3 no answer or no end within --timeout, 130 interrupted.',
];

export const PAIRS: CommandGroup = {
  name: 'kubectl filerpair',
  summary: 'the FilerPairs of a cluster',
  commands: PAIR_COMMANDS,
  details: [
    'Where there is no program kubectl-filerpair on the PATH, "filerpair pairs COMMAND" is the same.',
    'kubectl filerpair help COMMAND explains one. Options may stand anywhere.',
    ...EXIT_CODES,
  ],
};

export const FILES: CommandGroup = {
  name: 'filerpair',
  summary: 'files on a pair of servers that cover for each other',
  commands: [
    ls,
    cat,
    cp,
    put,
    mv,
    rm,
    mkdir,
    stat,
    mount,
    umount,
    doctor,
    probe,
    proxy,
    node,
    status,
    takeover,
    giveback,
    {
      name: 'pairs',
      group: 'Clusters',
      summary: 'what an administrator does with the FilerPairs of a cluster',
      commands: PAIR_COMMANDS,
      details: PAIRS.details!,
    },
    completion,
  ],
  details: [
    'URL is nfs://SERVER[:PRIMARY[:SECONDARY]]/EXPORT/PATH. The ports default to 2049 and 2050. While SERVER does not',
    'serve, its partner is asked at the failover name (SERVER-failover) and the secondary port; nothing has to be said.',
    "Options after a ?: failover=HOST (partner's address, where SERVER is an address), suffix=TEXT (instead of",
    '-failover), alone (no partner), uid=N, gid=N, mountport=N (a plain NFS server with a port of its own for MOUNT).',
    '',
    'filerpair help COMMAND explains one. Options may stand anywhere. --version says which release this is.',
    ...EXIT_CODES,
  ],
};
