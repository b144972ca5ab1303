/** setfsuid(2) says nothing when it does nothing: a caller that believes it goes on as root. */
import { spawn } from 'node:child_process';
import { readlinkSync, writeFileSync } from 'node:fs';
import { text } from 'node:stream/consumers';
import { expect, test } from 'vitest';

const isRoot = process.geteuid!() === 0;

/** In a user namespace that has the ids 0 to 65,535. */
async function run(): Promise<unknown> {
  const fixture = new URL('./thread-identity.fixture.ts', import.meta.url).pathname;
  const script = 'read mapped && exec "$0" "$@"';
  const child = spawn('unshare', ['--user', 'sh', '-c', script, process.execPath, fixture], {
    stdio: ['pipe', 'pipe', 'inherit'],
  });
  const namespace = `/proc/${child.pid}/ns/user`;
  await expect.poll(() => readlinkSync(namespace)).not.toBe(readlinkSync('/proc/self/ns/user'));
  for (const map of ['uid_map', 'gid_map']) writeFileSync(`/proc/${child.pid}/${map}`, '0 0 65536\n');
  child.stdin.write('\n');
  return JSON.parse(await text(child.stdout));
}

test.runIf(isRoot)(
  'where the kernel does not take a user on, nothing is done in that thread any more',
  async () => {
    expect(await run()).toEqual({
      before: {
        identityCanChange: true,
        unmapped: 'the ids 70000:0 do not exist in this user namespace',
        known: 'done',
        user: 1000,
      },
      lost: {
        known: 'the kernel has left this thread with id 0 instead of 1000',
        user: 0,
        again: 'this thread has no known user any more: nothing is done in it',
        server: 'this thread has no known user any more: nothing is done in it',
      },
    });
  },
);
