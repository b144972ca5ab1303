import { chmodSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { OPEN } from '../../system/open-gate.fixture.ts';
import { become, identityCanChange, SERVER_IDENTITY, startIoPool } from '../../system/thread-identity.ts';
import { openVolume } from './open-volume.ts';

const SOMEBODY = { uid: 12_345, gid: 12_345, groups: [] };

let root: string;
beforeEach(async () => {
  await startIoPool();
  root = mkdtempSync(join(tmpdir(), 'filerpair-volume-'));
  chmodSync(root, 0o700);
});
afterEach(() => {
  become(SERVER_IDENTITY);
  rmSync(root, { recursive: true, force: true });
});

test.skipIf(!identityCanChange)(
  'a volume opens as the server itself, whichever user is served on the same thread meanwhile',
  async () => {
    const owner = { home: 'filer-a', server: 'filer-a', incarnation: 'filer-a/here/1', epoch: 1 };
    const opening = openVolume({ name: 'data', path: root }, owner, OPEN, () => {});
    // Requests of users come between any two steps of it, as on a survivor that takes over.
    let requests = 0;
    const request = () => {
      become(SOMEBODY);
      requests += 1;
      again = setImmediate(request);
    };
    let again = setImmediate(request);
    try {
      const volume = await opening;
      await volume.recorded;
      expect(requests).toBeGreaterThan(0);
      expect(volume.pathIndex, 'the kernel opens handles for the server').toBeNull();
      volume.close();
    } finally {
      clearImmediate(again);
    }
  },
);

test.skipIf(!identityCanChange)(
  'a volume with keys of the pair opens on a thread that was left with the identity of a user',
  async () => {
    const owner = { home: 'filer-a', server: 'filer-a', incarnation: 'filer-a/here/1', epoch: 1 };
    const [path, handleKeysDirectory] = [join(root, 'volume'), join(root, 'keys')];
    mkdirSync(path);
    mkdirSync(handleKeysDirectory);
    writeFileSync(join(handleKeysDirectory, 'current'), new Uint8Array(32), { mode: 0o400 });
    const opening = openVolume({ name: 'data', path, handleKeysDirectory }, owner, OPEN, () => {});
    let again = setImmediate(function request() {
      become(SOMEBODY);
      again = setImmediate(request);
    });
    try {
      const volume = await opening;
      await volume.recorded;
      expect(volume.keys).toHaveLength(1);
      await volume.close();
    } finally {
      clearImmediate(again);
    }
  },
);
