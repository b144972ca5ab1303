/** The NFS client of a Linux kernel, mounted directly: what programs really do on a file system. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { readGuestImage } from '../environment.ts';
import { LOCAL_EXPORT, LocalPair } from '../harness/local-pair.ts';
import { Guest, HOST_IN_GUEST } from './guest.ts';

/** 45 s here, all of it emulation. */
const GUEST_MS_MAX = 240_000;

let pair: LocalPair;
beforeAll(async () => {
  pair = await LocalPair.start();
});
afterAll(() => pair?.stop());

test('files, links, names, users, git, sqlite and tar work on a Linux kernel mount', async () => {
  const settings = `HOST=${HOST_IN_GUEST} PORT=${pair.stage.primaryPort('filer-a')} EXPORT=${LOCAL_EXPORT}\n`;
  const script = settings + readFileSync(join(import.meta.dirname, 'scripts/real-work.sh'), 'utf8');
  const guest = await Guest.boot(readGuestImage(), script);
  try {
    const code = await guest.exitCode(GUEST_MS_MAX);
    expect(guest.output()).toContain('REAL WORK DONE');
    expect(code, guest.output()).toBe(0);
  } finally {
    await guest.discard();
  }
});
