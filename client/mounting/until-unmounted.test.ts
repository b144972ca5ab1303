import { mkdtempSync, rmSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, test } from 'vitest';
import { eventually } from '../../testing/eventually.ts';
import { claimPort, isClaimed } from './proxy-ports.ts';
import { hasServer, UntilUnmounted } from './until-unmounted.ts';

// With the kernel's own mounts: e2e/linux/kernel-mount.test.ts.

describe('a proxy that a mount has started', () => {
  test('ends after a connection has ended, when the mount that it saw is gone, and not before', async () => {
    let isMounted = false;
    let looks = 0;
    let hasEnded = false;
    const until = new UntilUnmounted(() => {
      looks += 1;
      return isMounted;
    });
    void until.ended.then(() => (hasEnded = true));
    const looked = async () => {
      const before = looks;
      until.clientGone();
      await eventually('it looks', 10_000, () => looks > before);
    };
    // The mount has not come yet: mount.nfs tries the port first.
    await looked();
    expect(hasEnded).toBe(false);
    isMounted = true;
    await looked();
    expect(hasEnded).toBe(false);
    isMounted = false;
    await looked();
    expect(hasEnded).toBe(true);
  });
});

test("the kernel's list of servers: name and port in hexadecimal", () => {
  const list =
    'NV SERVER   PORT USE HOSTNAME\nv3 7f000001 5014   2 127.0.0.1\nv4 0a000202  801   1 10.0.2.2\n';
  expect(hasServer(list, '127.0.0.1', 0x5014)).toBe(true);
  expect(hasServer(list, '127.0.0.1', 0x801)).toBe(false);
  expect(hasServer(list, '10.0.2.2', 2049)).toBe(true);
});

describe('ports of proxies', () => {
  const directory = mkdtempSync(join(tmpdir(), 'filerpair-ports-'));
  afterAll(() => rmSync(directory, { recursive: true }));

  test('a pair has one for all its exports, and no two pairs have the same', async () => {
    const pairs = Array.from({ length: 100 }, (_, index) => `nfs://filer-${index}`);
    const ports: number[] = [];
    for (const pair of pairs) ports.push(await claimPort(directory, `${pair}/home`));
    expect(new Set(ports).size).toBe(pairs.length);
    expect(await claimPort(directory, `${pairs[7]}/other`)).toBe(ports[7]);
    expect(isClaimed(directory, ports[7]!)).toBe(true);
  });

  test('one where another program listens is left to it', async () => {
    const own = mkdtempSync(join(tmpdir(), 'filerpair-ports-'));
    const port = await claimPort(own, 'nfs://filer-x/home');
    rmSync(own, { recursive: true });
    const server = createServer((socket) => socket.destroy()).listen(port, '127.0.0.1');
    await new Promise((resolve) => server.once('listening', resolve));
    expect(await claimPort(own, 'nfs://filer-x/home')).not.toBe(port);
    rmSync(own, { recursive: true });
    server.close();
  });
});
