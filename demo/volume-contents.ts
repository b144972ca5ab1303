/** What is really on a volume: read from the directory itself, past all servers. */
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';

/** All files below a directory with their contents, directories with null; paths relative to it. */
export function contentsOf(directory: string): Map<string, string | null> {
  const found = new Map<string, string | null>();
  const walk = (below: string) => {
    for (const entry of readdirSync(join(directory, below), { withFileTypes: true })) {
      const path = below === '' ? entry.name : `${below}/${entry.name}`;
      found.set(path, entry.isDirectory() ? null : readFileSync(join(directory, path), 'utf8'));
      if (entry.isDirectory()) walk(path);
    }
  };
  walk('');
  return found;
}
