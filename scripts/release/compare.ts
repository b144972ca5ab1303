/** Whether two builds of a release are the same, byte for byte. */
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { sha256 } from './archive.ts';

/** @returns names of files that differ, or that only one of them has */
export function differences(one: string, other: string): string[] {
  const names = new Set([...readdirSync(one), ...readdirSync(other)]);
  const hash = (path: string): string | null => (existsSync(path) ? sha256(readFileSync(path)) : null);
  return [...names].sort().filter((name) => hash(join(one, name)) !== hash(join(other, name)));
}
