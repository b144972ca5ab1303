/**
 * A place from which an ordinary user can run this project's programs. The checkout itself is not one where it lies below a
 * directory that only its owner may enter, as root's home directory is on many machines. Such a user can execute neither Node nor
 * the sources there. Then a copy of what the data path needs is made in the system's temporary directory.
 */
import { chmodSync, cpSync, linkSync, mkdirSync, mkdtempSync, realpathSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join, resolve } from 'node:path';

const CHECKOUT = resolve(import.meta.dirname, '../..');
/** What the programs below fileserver/data-path import, directly or not. */
const PARTS = [
  'package.json',
  'fileserver',
  'native',
  'protocol',
  'pair',
  'kubernetes',
  'crds',
  'testing',
  'scripts/programs.ts',
  'node_modules/koffi',
  'node_modules/@koromix',
];

export interface ReadableCheckout {
  /** Absolute path of the project's root directory. */
  readonly root: string;
  /** Absolute path of the Node binary. */
  readonly node: string;
  readonly remove: () => void;
}

/** May every user enter this directory and all directories above it? */
function isOpenToAll(path: string): boolean {
  for (let at = path; ; at = dirname(at)) {
    if ((statSync(at).mode & 0o001) === 0) return false;
    if (at === dirname(at)) return true;
  }
}

/** The checkout, or where an ordinary user may not enter it, a copy that remove() deletes. */
export function readableCheckout(): ReadableCheckout {
  const node = realpathSync(process.execPath);
  if (isOpenToAll(CHECKOUT) && isOpenToAll(dirname(node)))
    return { root: CHECKOUT, node: process.execPath, remove: () => {} };
  const root = mkdtempSync(join(tmpdir(), 'filerpair-checkout-'));
  chmodSync(root, 0o755);
  mkdirSync(join(root, 'node_modules'));
  for (const part of PARTS) cpSync(join(CHECKOUT, part), join(root, part), { recursive: true });
  const copied = join(root, 'node');
  try {
    linkSync(node, copied);
  } catch {
    // Another file system.
    cpSync(node, copied);
  }
  return { root, node: copied, remove: () => rmSync(root, { recursive: true, force: true }) };
}
