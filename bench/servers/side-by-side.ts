/** Our server and nfs-ganesha at the same time, with their data in .cache; ours alone where the other is not installed. */

import { mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { startFilerpair } from './filerpair.ts';
import { ganeshaVersion, startGanesha } from './ganesha.ts';
import type { ServerUnderTest } from './server-under-test.ts';

const CACHE = join(import.meta.dirname, '../../.cache');

/** `use` gets them, ours first, and a directory for what else it needs. Afterwards both are stopped, and everything is removed. */
export async function withServersSideBySide(
  options: { readonly built: boolean },
  use: (servers: readonly ServerUnderTest[], directory: string) => Promise<void>,
): Promise<void> {
  mkdirSync(CACHE, { recursive: true });
  const directory = mkdtempSync(join(CACHE, 'bench-'));
  const servers: ServerUnderTest[] = [];
  try {
    for (const name of ['filerpair', 'ganesha']) mkdirSync(join(directory, name));
    servers.push(await startFilerpair(join(directory, 'filerpair'), { nodeArguments: [], ...options }));
    const version = ganeshaVersion();
    if (version !== null) servers.push(await startGanesha(join(directory, 'ganesha'), version));
    await use(servers, directory);
  } finally {
    for (const server of servers) await server.stop();
    rmSync(directory, { recursive: true, force: true });
  }
}
