import { readFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { expect, test } from 'vitest';
import { freePorts } from './free-ports.ts';

test('ports are free, none comes twice, and the kernel gives none of them to anybody else', async () => {
  const range = readFileSync('/proc/sys/net/ipv4/ip_local_port_range', 'utf8')
    .trim()
    .split(/\s+/)
    .map(Number);
  const ports = [...(await freePorts(20)), ...(await freePorts(20))];
  expect(new Set(ports).size).toBe(40);
  for (const port of ports) expect(port < range[0]! || port > range[1]!).toBe(true);
});

test('a port on which somebody listens is passed over', async () => {
  const [first] = await freePorts(1);
  const holder = createServer();
  await new Promise<void>((resolve) => holder.listen(first! + 1, '127.0.0.1', resolve));
  try {
    expect(await freePorts(3)).not.toContain(first! + 1);
  } finally {
    holder.close();
  }
});
