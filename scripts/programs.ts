/** The programs, each of which is bundled into a file for each kind of thread that it has (bundle.ts). */

import { basename, dirname } from 'node:path';

export interface Program {
  /** Folder of the output, and the source of its first thread. */
  readonly main: string;
  /** Sources of its other threads. They lie beside the first one: that is where it looks for them. */
  readonly threads?: readonly string[];
}

export const PROGRAMS: readonly Program[] = [
  {
    main: 'fileserver/main.ts',
    threads: [
      'fileserver/threads/thread.ts',
      'fileserver/threads/connection-thread.ts',
      'fileserver/threads/volume-thread.ts',
      'fileserver/groups/group-thread.ts',
    ],
  },
  { main: 'fileserver/sentinel/main.ts' },
  { main: 'fileserver/attachment/main.ts' },
  { main: 'operator/main.ts' },
  {
    main: 'client/cli/main.ts',
    // The director is a process of its own, started by its file.
    threads: [
      'client/proxy/parking-thread.ts',
      'client/proxy/relay/relay-thread.ts',
      'client/node/director-main.ts',
    ],
  },
  { main: 'client/index.ts' },
];
export const TEST_PROGRAMS: readonly Program[] = [{ main: 'e2e/writer/main.ts' }];

/** Path of a bundle below the directory with the bundles; null: that source is not the first file of any program or thread. */
export function bundleOf(source: string): string | null {
  const program = PROGRAMS.find(({ main, threads = [] }) => main === source || threads.includes(source));
  return program === undefined ? null : `${dirname(program.main)}/${basename(source, '.ts')}.js`;
}
