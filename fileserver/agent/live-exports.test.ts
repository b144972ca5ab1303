/** Exports that change while a server runs, as an administrator does it: by writing the configuration file. */

import { readFileSync, renameSync, writeFileSync } from 'node:fs';
import { afterAll, beforeAll, expect, it } from 'vitest';
import * as nfs from '../../protocol/nfs3.ts';
import { eventually } from '../../testing/eventually.ts';
import { mount } from '../data-path/data-thread.fixture.ts';
import { RpcClient } from '../data-path/rpc-client.fixture.ts';
import { Pair } from './pair.fixture.ts';
import type { Status } from './status.ts';

let pair: Pair;
let client: RpcClient;
beforeAll(async () => {
  pair = await Pair.create();
  pair.startServer('filer-a');
  await eventually('filer-a serves its own', 60_000, async () => {
    const set = (await pair.status('filer-a'))?.diskSets.find((one) => one.home === 'filer-a');
    return set?.phase === 'open';
  });
  client = await RpcClient.connect(pair.ports['filer-a'].primary);
}, 60_000);
afterAll(async () => {
  client?.close();
  await pair?.stop();
});

/** Replaces the file as a whole, as an editor or the kubelet does. */
function write(
  change: (config: { diskSets: Record<string, { exports: object[] }>; stopMs?: number }) => void,
): void {
  const file = pair.configFile('filer-a');
  const config = JSON.parse(readFileSync(file, 'utf8'));
  change(config);
  writeFileSync(`${file}.new`, JSON.stringify(config));
  renameSync(`${file}.new`, file);
}
const configuration = async (): Promise<Status['configuration']> =>
  (await pair.status('filer-a'))!.configuration;
const exported = (path: string, more: object = {}) => ({ path, volume: 'data', squash: 'None', ...more });

it('takes effect at once for who has mounted and who wants to, and says what would need a restart', async () => {
  const home = await mount(client, '/home');
  write((config) => {
    config.diskSets['filer-a']!.exports = [exported('/other', { access: 'ReadOnly' })];
    config.stopMs = 1234;
  });
  await eventually('the old export is gone', 60_000, async () => {
    const { status } = await client.call('GETATTR', { object: home });
    return status === nfs.NFS3ERR_STALE;
  });
  await expect(mount(client, '/home')).rejects.toThrow('MNT /home');
  const dir = await mount(client, '/other');
  const name = new TextEncoder().encode('x');
  const how: nfs.createhow3 = { mode: nfs.GUARDED, obj_attributes: nfs.SATTR3_NOTHING };
  expect((await client.call('CREATE', { where: { dir, name }, how })).status).toBe(nfs.NFS3ERR_ROFS);
  expect(await configuration()).toEqual({ refused: null, needsRestart: ['stopMs'] });
});

it('an export of a directory that the volume does not have stops alone, and the status says so', async () => {
  write((config) => {
    config.diskSets['filer-a']!.exports = [
      exported('/other', { access: 'ReadOnly' }),
      exported('/absent', { directory: 'missing' }),
    ];
  });
  const absent = async () =>
    (await pair.status('filer-a'))?.diskSets.find((one) => one.home === 'filer-a')?.absentExports;
  await eventually('the status says so', 60_000, async () => (await absent())?.length === 1);
  expect(await absent()).toEqual([
    {
      path: '/absent',
      reason: 'export "/absent" is not served: volume "data" has no directory "missing" (ENOENT)',
    },
  ]);
  await expect(mount(client, '/absent')).rejects.toThrow('MNT /absent');
  await mount(client, '/other');
  expect((await configuration()).refused).toBe(null);
});

it.each([
  ['clients that are no network', { clients: ['10.0.0.0/33'] }, '"10.0.0.0/33" is no network'],
  ['a directory outside of the volume', { directory: '../up' }, 'is no directory inside a volume'],
])('is refused as a whole, and the old exports go on: %s', async (_title, wrong, sentence) => {
  write((config) => {
    config.diskSets['filer-a']!.exports = [exported('/better', wrong)];
  });
  await eventually('it is refused', 60_000, async () => (await configuration()).refused?.includes(sentence));
  await mount(client, '/other');
  const metrics = (await pair.control('filer-a', 'GET', '/metrics')).body;
  expect(metrics).toContain('filerpair_configuration_refused 1');
  write((config) => {
    config.diskSets['filer-a']!.exports = [exported('/other', { access: 'ReadOnly' })];
  });
  await eventually('it is mended', 60_000, async () => (await configuration()).refused === null);
});
