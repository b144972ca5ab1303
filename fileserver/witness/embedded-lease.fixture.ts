/** What stands in an embedded witness's directory, read and changed as by somebody who is no server. */
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

/** The newest version of `<home>.<file>`; null: there is none. */
export function newestFile(directory: string, home: string, file: 'lease' | 'written'): string | null {
  const prefix = `${home}.${file}-`;
  const numbers = readdirSync(directory)
    .filter((name) => name.startsWith(prefix))
    .map((name) => Number(name.slice(prefix.length)));
  return numbers.length === 0 ? null : join(directory, `${prefix}${Math.max(...numbers)}`);
}

export function readLease(directory: string, home: string): Record<string, unknown> & { version: number } {
  return JSON.parse(readFileSync(newestFile(directory, home, 'lease')!, 'utf8'));
}

/** As the operator would; nobody else may write at this moment. */
export function changeLease(directory: string, home: string, changes: object): void {
  const lease = readLease(directory, home);
  const version = lease.version + 1;
  const path = join(directory, `${home}.lease-${version}`);
  writeFileSync(path, JSON.stringify({ ...lease, ...changes, version }), { flag: 'wx' });
}
