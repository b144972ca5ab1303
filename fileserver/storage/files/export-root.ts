/**
 * Where the exported directories are, as the thread that makes the changes of their volume has found them. The other threads are
 * told: none of them looks for itself, as that may wait for the disk.
 */
import type { ExportSpec } from '../../settings/export-spec.ts';

/** Plain data. */
export interface ExportRoot {
  /** Path of the export. */
  readonly path: string;
  /** The place that was looked at: news of an export that is another one by now counts for nothing. */
  readonly place: string;
  /** Identity key of the directory; '': it is not there, or can't be opened. */
  readonly key: string;
  /** Why not, as a sentence; empty if it is there. */
  readonly problem: string;
  readonly cause?: RootProblem | undefined;
}

/** Why an exported directory is not there, as one word. DirectoryNotMadeYet: nobody has tried to make it, which is to be done. */
export type RootProblem =
  | 'DirectoryAbsent'
  | 'DirectoryUnreadable'
  | 'DirectoryNotMade'
  | 'DirectoryNotMadeYet';

/** The same for exports of the same directory. */
export function placeOf({ volume, directory = '' }: ExportSpec): string {
  return `${volume}:${directory}`;
}
