/**
 * The pair as processes that know each other by certificates, made by the operator's code and exchanged in their files as
 * a kubelet does it: while they change, neither loses the other.
 */

import { mkdirSync, renameSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, expect, it, vi } from 'vitest';
import { issueCertificate, type KeyPair, makeAuthority } from '../../operator/apply/certificate-authority.ts';
import { eventually } from '../../testing/eventually.ts';
import { interconnectName } from '../interconnect/certificates.fixture.ts';
import { firstAnswer, Pair, partnerOf, type Running, type Server, servers } from './pair.fixture.ts';

vi.setConfig({ testTimeout: 120_000 });

let pair: Pair | null = null;
afterEach(() => pair?.stop());

const directoryOf = (server: Server, root = pair!.directory): string => join(root, server, 'certificates');
const withTls = (server: Server, root: string): object => ({
  tls: {
    directory: join(directoryOf(server, root), 'data'),
    name: interconnectName(server),
    partnerName: interconnectName(partnerOf(server)),
  },
});

/** All files at once, by exchanging a symbolic link. */
async function give(server: Server, by: KeyPair, trusted: readonly KeyPair[]): Promise<void> {
  const { certificate, key } = await issueCertificate(by, interconnectName(server), Date.now(), 1e9);
  const version = join(directoryOf(server), String(versions++));
  mkdirSync(version, { recursive: true });
  writeFileSync(join(version, 'tls.crt'), certificate);
  writeFileSync(join(version, 'tls.key'), key);
  writeFileSync(join(version, 'ca.crt'), trusted.map((one) => one.certificate).join(''));
  symlinkSync(version, join(directoryOf(server), 'next'));
  renameSync(join(directoryOf(server), 'next'), join(directoryOf(server), 'data'));
}
let versions = 1;

const count = (running: Running, text: string): number => running.output().split(text).length - 1;

it('exchanges certificates and authority while it serves, and a crash is still known at once', async () => {
  pair = await Pair.create(withTls);
  const [old, young] = [
    await makeAuthority('home', Date.now(), 1e9),
    await makeAuthority('home', Date.now(), 1e9),
  ];
  for (const server of servers) await give(server, old, [old]);
  const sentinels = servers.map((server) => pair!.startSentinel(server));
  const running = servers.map((server) => pair!.startServer(server));
  const [a, b] = running as [Running, Running];
  await pair.paired();
  const changes: [Server, KeyPair, KeyPair[]][] = [
    ['filer-a', old, [old, young]],
    ['filer-b', old, [old, young]],
    ['filer-b', young, [old, young]],
    ['filer-a', young, [young]],
    ['filer-b', young, [young]],
  ];
  for (const [server, by, trusted] of changes) {
    await give(server, by, trusted);
    const index = servers.indexOf(server);
    const all = [running[index]!, sentinels[index]!];
    const seen = all.map((one) => count(one, 'Interconnect: certificate until'));
    await eventually(`${server} and its sentinel have the new certificates`, 60_000, () =>
      all.every((one, i) => count(one, 'Interconnect: certificate until') > seen[i]!),
    );
  }
  for (const one of [a, b]) expect(count(one, 'No connection with')).toBe(0);
  expect(pair.history('filer-a').at(-1)).toMatchObject({
    epoch: 1,
    acknowledger: expect.stringMatching(/^filer-b/),
  });
  // The sentinel's connection, too, is one of the last authority.
  const killedAt = Date.now();
  a.child.kill('SIGKILL');
  await firstAnswer(pair.ports['filer-b'].secondary);
  process.stdout.write(`kill to first answer over TLS: ${Date.now() - killedAt} ms\n`);
  const { lastTransition } = (await pair.status('filer-b'))!;
  expect(lastTransition).toMatchObject({ kind: 'Takeover', cause: 'PartnerSaidSo' });
});
