import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import type { RequestOptions } from 'node:https';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, expect, it, vi } from 'vitest';
import { assertEventually } from '../../testing/assert-eventually.ts';
import { podAccount } from './pod-account.ts';

const directory = mkdtempSync(join(tmpdir(), 'filerpair-account-'));
afterAll(() => rmSync(directory, { recursive: true, force: true }));
afterEach(() => vi.restoreAllMocks());
const put = (name: string, text: string): void => writeFileSync(join(directory, name), text);

async function askedWith(load: ReturnType<typeof podAccount>) {
  const config = await load();
  return async () => {
    const options: RequestOptions = { headers: { accept: 'x' } };
    await config.applyToHTTPSOptions(options);
    return { ca: options.ca, headers: options.headers };
  };
}

it("asks the cluster's own address with the pod's token, and trusts the cluster's CA alone", async () => {
  put('ca.crt', 'the CA');
  put('token', 'first\n');
  const config = await podAccount({ host: '10.96.0.1', port: '443', directory })();
  expect(config.getCurrentCluster()).toMatchObject({ server: 'https://10.96.0.1:443', skipTLSVerify: false });
  const v6 = await podAccount({ host: 'fd00::1', port: '6443', directory })();
  expect(v6.getCurrentCluster()?.server).toBe('https://[fd00::1]:6443');
  const ask = await askedWith(podAccount({ host: '10.96.0.1', port: '443', directory }));
  expect(await ask()).toEqual({ ca: 'the CA', headers: { accept: 'x', Authorization: 'Bearer first' } });
});

it('finds a token that the kubelet has replaced, and keeps the old one if it cannot be read', async () => {
  put('ca.crt', 'the CA');
  put('token', 'first');
  const ask = await askedWith(podAccount({ host: '10.96.0.1', port: '443', directory }));
  const begun = performance.now();
  const clock = vi.spyOn(performance, 'now');
  put('token', 'second');
  clock.mockReturnValue(begun + 61_000);
  await ask();
  await assertEventually(async () =>
    expect((await ask()).headers).toMatchObject({ Authorization: 'Bearer second' }),
  );
  rmSync(join(directory, 'token'));
  clock.mockReturnValue(begun + 200_000);
  await ask();
  expect((await ask()).headers).toMatchObject({ Authorization: 'Bearer second' });
});

it('says which file is missing', async () => {
  const load = podAccount({ host: '10.96.0.1', port: '443', directory: '/nowhere' });
  await expect(load()).rejects.toThrow(/ENOENT.*\/nowhere\//);
});
