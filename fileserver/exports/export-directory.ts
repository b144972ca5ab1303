/** Where an export lies, as its specification says it: checked without looking at a volume. */
import { checkName, isDot, isDotDot, isPrivateName } from '../storage/names/names.ts';

export interface ExportPlace {
  /** Path that clients mount. */
  readonly path: string;
  /** Below the volume's root; absent: the root itself. */
  readonly directory?: string | undefined;
}

const encoder = new TextEncoder();

/** Names from the volume's root down to the exported directory. Throws an Error that names the export and its fault. */
export function parseExportDirectory(place: ExportPlace): Uint8Array[] {
  const { path, directory } = place;
  if (!path.startsWith('/') || (path.length > 1 && path.endsWith('/'))) {
    throw new Error(`export "${path}": the path must begin with a slash and not end with one`);
  }
  const names = (directory ?? '')
    .split('/')
    .filter((part) => part !== '')
    .map((part) => encoder.encode(part));
  for (const name of names) {
    if (checkName(name) !== null || isDot(name) || isDotDot(name)) {
      throw new Error(`export "${path}": "${directory}" is no directory inside a volume`);
    }
  }
  if (names[0] !== undefined && isPrivateName(names[0])) {
    throw new Error(`export "${path}": "${directory}" is FilerPair's own directory`);
  }
  return names;
}
