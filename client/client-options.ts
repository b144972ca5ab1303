/** Options of FilerPairClient and its methods for paths, in the shapes of node:fs/promises. */
import type { AttemptsOptions } from './attempts-state.ts';
import type { NameEncoding } from './directory.ts';
import type { Identity } from './identity.ts';
import type { OperationOptions } from './operation.ts';
import type { Resolver } from './resolver.ts';

/** Options of a FilerPairClient. */
export interface ClientOptions {
  /** Default: the user of this process. */
  readonly identity?: Identity | undefined;
  /** Longest wait for one reply, in ms. Default: any outage is waited through, like a hard mount. */
  readonly callTimeoutMs?: number | undefined;
  /** Looks up names; default: the hosts file and DNS of this system. */
  readonly resolver?: Resolver | undefined;
  /** Changes of the search for the serving port. */
  readonly attempts?: Partial<AttemptsOptions> | undefined;
}

export interface BigIntOption extends OperationOptions {
  readonly bigint?: boolean | undefined;
}

/**
 * Options of readdir() and opendir().
 *
 * @see https://nodejs.org/docs/latest-v24.x/api/fs.html#fspromisesreaddirpath-options
 */
export interface ReaddirOptions extends OperationOptions {
  readonly encoding?: NameEncoding | undefined;
  readonly withFileTypes?: boolean | undefined;
  readonly recursive?: boolean | undefined;
}

/**
 * Options of mkdir().
 *
 * @see https://nodejs.org/docs/latest-v24.x/api/fs.html#fspromisesmkdirpath-options
 */
export interface MkdirOptions extends OperationOptions {
  readonly mode?: number | undefined;
  /** Missing parents too; what is there already is no error. */
  readonly recursive?: boolean | undefined;
}

/** Options of rm(). */
export interface RmOptions extends OperationOptions {
  /** A path that does not exist is no error. */
  readonly force?: boolean | undefined;
  /** Directories with all that they hold. */
  readonly recursive?: boolean | undefined;
}

/**
 * Options of writeFile() and appendFile(), or an encoding.
 *
 * @see https://nodejs.org/docs/latest-v24.x/api/fs.html#fspromiseswritefilefile-data-options
 */
export type WriteFileOptions =
  | (OperationOptions & {
      readonly encoding?: BufferEncoding | null | undefined;
      readonly mode?: number | undefined;
      readonly flag?: string | number | undefined;
    })
  | BufferEncoding;

export type NameOptions = (OperationOptions & { readonly encoding?: NameEncoding }) | NameEncoding;

export function nameOptions(
  options: NameOptions | undefined,
): OperationOptions & { readonly encoding?: NameEncoding } {
  return typeof options === 'string' ? { encoding: options } : (options ?? {});
}
