/**
 * The same work as load.c, through our own client library. Writes and reads keep several calls in flight, as its users' do: that
 * is what FileWriter and read() are for.
 */

import { constants, FilerPairClient } from '../../client/index.ts';
import type { Figures, Workload } from './figures.ts';

const MIB = 1024 * 1024;
const FILE_MIB = 64;

export async function runLibrary(url: string, forMs: number): Promise<Map<Workload, Figures>> {
  const client = await FilerPairClient.connect(url, { identity: { uid: 0, gid: 0, gids: [] } });
  const found = new Map<Workload, Figures>();
  const measure = async (name: Workload, run: () => Promise<number>): Promise<void> => {
    const began = performance.now();
    let operations = 0;
    while (performance.now() < began + forMs) operations += await run();
    found.set(name, { operations, ms: performance.now() - began });
  };
  try {
    // What is there is written over, as load.c does it: a file that is made empty first is another work for its disk.
    const file = await client.open('file', constants.O_CREAT | constants.O_RDWR);
    const bytes = new Uint8Array(MIB).fill(120);
    await measure('write', async () => {
      const { writer } = file;
      for (let at = 0; at < FILE_MIB; at++) await writer.write(at * MIB, bytes);
      await writer.commit();
      return FILE_MIB;
    });
    await measure('read', async () => {
      let size = 0;
      for await (const part of client.read('file')) size += part.length;
      return size / MIB;
    });
    await measure('stat', async () => {
      await client.nfs.getattr(file.nfsHandle);
      return 1;
    });
    await measure('createRemove', async () => {
      await client.nfs.create(client.root, 'name', 'Guarded', { mode: 0o644 });
      await client.nfs.remove(client.root, 'name');
      return 1;
    });
  } finally {
    await client.close();
  }
  return found;
}
