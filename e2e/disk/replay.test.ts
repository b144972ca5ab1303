/** Machine crashes: see replay.ts. The number of states is small here; `node e2e/disk/main.ts` does as many as wanted. */
import { expect, test } from 'vitest';
import { type FileSystemType, missingForDisks } from './recording-disk.ts';
import { record, replay } from './replay.ts';

const STATES = 12;
const LOAD = { chains: 8, forMs: 1500, mountOptions: [] };
const SEED = 20261123;

for (const type of ['ext4', 'xfs', 'btrfs'] as const satisfies readonly FileSystemType[]) {
  const missing = missingForDisks(type);
  test.skipIf(missing !== null)(
    `${type}: after a crash of the machine all that was answered is there, and nothing is done twice`,
    async () => {
      const recording = await record(type, { ...LOAD, testing: {}, seed: SEED });
      try {
        const { states, failures } = await replay(recording, STATES, SEED);
        expect(failures).toEqual([]);
        expect(states).toBe(STATES);
      } finally {
        await recording.disk.discard();
      }
    },
    120_000,
  );
}

test.skipIf(missingForDisks('ext4') !== null)(
  'with intents in memory only, the same test finds operations that are done twice (so it can)',
  async () => {
    const recording = await record('ext4', { ...LOAD, testing: { intents: 'unwritten' }, seed: SEED });
    try {
      const { failures } = await replay(recording, STATES, SEED);
      expect(failures.join('\n')).toMatch(/NFS3ERR_(EXIST|NOENT|NOT_SYNC)/);
    } finally {
      await recording.disk.discard();
    }
  },
  120_000,
);
