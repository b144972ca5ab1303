/** Makes a directory and those above it that are missing, as mkdir -p does. */
import { NF3DIR } from '../protocol/nfs3.ts';
import { FilerPairError, hasCode, reasonOf } from './errors.ts';
import type { MountedExport } from './export-session.ts';
import type { Operation } from './operation.ts';
import { namesIn, type PathLike, pathBytes, pathText } from './path.ts';

/** Resolves with the path of the first that was made; undefined: all were there. */
export async function makeDirectories(
  { walk, access }: MountedExport,
  path: PathLike,
  mode: number,
  operation: Operation,
): Promise<string | undefined> {
  const names = namesIn(path);
  let first: string | undefined;
  for (let depth = 1; depth <= names.length; depth++) {
    const part = pathBytes(names.slice(0, depth));
    const { dir, name } = await walk.locate(part, 'EEXIST', operation);
    try {
      await access.nfs.mkdir(dir, name, { mode }, operation);
      first ??= `/${pathText(names.slice(0, depth))}`;
    } catch (error) {
      // A read-only parent, too, may hold what is wanted.
      if (!hasCode(error, 'EEXIST', 'EACCES', 'EROFS', 'EPERM')) throw error;
      const there = await walk.resolve(part, true, operation).catch((reason: unknown) => {
        throw hasCode(reason, 'ENOENT') ? error : reason;
      });
      if (there.attributes.type === NF3DIR) continue;
      const code = depth === names.length ? 'EEXIST' : 'ENOTDIR';
      throw new FilerPairError(code, reasonOf(code), operation);
    }
  }
  return first;
}
