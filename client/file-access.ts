/** Objects that the open files of one client have in common. */
import type { IoSizes } from './mount.ts';
import type { Nfs3Client } from './nfs3-client.ts';
import type { OpenFiles } from './open-files.ts';
import type { Operations } from './operations.ts';

export interface FileAccess {
  readonly nfs: Nfs3Client;
  readonly files: OpenFiles;
  readonly operations: Operations;
  readonly sizes: IoSizes;
}
