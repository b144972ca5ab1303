/**
 * The images of a release, started for each processor: of this machine as they are, of another one by an emulator. A server serves,
 * and the client of the same image, and the command as an executable, write and read a file there.
 */
import { execFileSync } from 'node:child_process';
import {
  copyFileSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { arch, tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { certificateFiles, writeCertificates } from '../../fileserver/interconnect/certificates.fixture.ts';
import { imageFile } from '../../scripts/release/build.ts';
import type { Descriptor } from '../../scripts/release/oci-layout.ts';
import { PROCESSORS, type Processor } from '../../scripts/release/parts.ts';
import { readSource } from '../../scripts/release/source.ts';
import { REPOSITORY } from '../environment.ts';
import { outcomeOf, run } from '../machine/command.ts';
import { needPackages } from '../machine/debian-packages.ts';

const RELEASE = join(REPOSITORY, 'out/release');
const EMULATOR = '/usr/bin/qemu-aarch64-static';
const { version } = readSource();
/** Emulated, and on a machine with much to do. */
const STARTED_MS_MAX = 240_000;

let directory: string;
beforeAll(async () => {
  if (!existsSync(RELEASE)) throw new Error('nothing to start in out/release: make release');
  await needPackages(['qemu-user-static'], 'Starting images for arm64');
  directory = mkdtempSync(join(tmpdir(), 'filerpair-images-'));
});
afterAll(() => rmSync(directory, { recursive: true, force: true }));

/** Unpacks an image, and what is in the executable's archive beside it. */
async function unpack(image: 'operator' | 'fileserver', processor: Processor): Promise<string> {
  const layout = join(directory, image);
  if (!existsSync(layout)) {
    mkdirSync(layout);
    await run(['tar', '-xf', join(RELEASE, imageFile(image, version)), '-C', layout]);
  }
  const blob = (digest: string): string => join(layout, 'blobs/sha256', digest.replace('sha256:', ''));
  const read = (path: string): { manifests: Descriptor[]; layers: Descriptor[] } =>
    JSON.parse(readFileSync(path, 'utf8'));
  const all = read(blob(read(join(layout, 'index.json')).manifests[0]!.digest));
  const { digest } = all.manifests.find(({ platform }) => platform!.architecture === processor)!;
  const root = join(directory, `${image}-${processor}`);
  mkdirSync(root);
  for (const layer of read(blob(digest)).layers) await run(['tar', '-xpzf', blob(layer.digest), '-C', root]);
  for (const name of ['proc', 'dev', 'tmp', 'pair']) mkdirSync(join(root, name), { recursive: true });
  copyFileSync(EMULATOR, join(root, 'emulator'));
  const archive = join(RELEASE, `filerpair-${version}-linux-${processor}.tar.gz`);
  await run(['tar', '-xzf', archive, '-C', root, 'filerpair']);
  return root;
}

/**
 * A script in namespaces of its own, in which `in_image PROGRAM...` is what a container would run. It ends with all that it
 * has started.
 */
const inside = (root: string, processor: Processor, script: string) => {
  const emulator = PROCESSORS[processor] === arch() ? '' : '/emulator';
  const text = `
    set -e
    mount -t proc proc "$1/proc"; mount --rbind /dev "$1/dev"; ip link set lo up
    in_image() { env -i PATH=/usr/local/bin:/usr/bin:/bin HOME=/tmp /usr/sbin/chroot "$root" ${emulator} "$@"; }
    root=$1
    ${script}`;
  const namespaces = ['unshare', '--mount', '--pid', '--net', '--fork', '--kill-child'];
  return outcomeOf([...namespaces, 'sh', '-c', text, 'sh', root], { timeoutMs: STARTED_MS_MAX });
};

const configuration = {
  pair: 'home',
  server: 'a',
  partner: 'b',
  partnerAddress: { host: '127.0.0.2' },
  runDir: '/pair/run',
  // What an emulator makes of two seconds is too little.
  timing: { leaseMs: 60_000, guardMs: 15_000, heartbeatMs: 5_000 },
  tls: certificateFiles('/pair', 'a', 'b'),
  witness: { kind: 'embedded', directory: '/pair/witness' },
  diskSets: Object.fromEntries(
    ['a', 'b'].map((home) => [
      home,
      {
        volumes: [{ name: 'data', path: `/pair/volumes/${home}` }],
        exports: [{ path: '/home', volume: 'data', squash: 'None', clients: ['127.0.0.1/32'] }],
      },
    ]),
  ),
};

describe.each(Object.keys(PROCESSORS) as Processor[])('for %s', (processor) => {
  test('the file server serves, and a file is written and read', { timeout: STARTED_MS_MAX }, async () => {
    const root = await unpack('fileserver', processor);
    const pair = join(root, 'pair');
    for (const name of ['run', 'witness', 'volumes/a', 'volumes/b'])
      mkdirSync(join(pair, name), { recursive: true, mode: 0o777 });
    execFileSync('chmod', ['777', join(pair, 'volumes/a'), join(pair, 'volumes/b')]);
    await writeCertificates(pair);
    writeFileSync(join(pair, 'server.json'), JSON.stringify(configuration));
    writeFileSync(join(root, 'tmp/text'), 'written and read\n');
    const { code, stdout, stderr } = await inside(
      root,
      processor,
      `
      node=/usr/local/bin/node
      in_image $node -p process.arch
      in_image $node /app/dist/fileserver/main.js --config /pair/server.json >"$root/tmp/log" 2>&1 &
      in_image $node /app/dist/client/cli/main.js --timeout 200 cp /tmp/text nfs://127.0.0.1/home/text?alone || { cat "$root/tmp/log"; exit 1; }
      in_image /filerpair --timeout 200 cat nfs://127.0.0.1/home/text?alone`,
    );
    expect(`${stdout}${code === 0 ? '' : stderr}`).toBe(`${PROCESSORS[processor]}\nwritten and read\n`);
    expect(readFileSync(join(pair, 'volumes/a/text'), 'utf8')).toBe('written and read\n');
  });

  test('the executable says what it cannot do without packages', { timeout: STARTED_MS_MAX }, async () => {
    const root = join(directory, `fileserver-${processor}`);
    const node = await inside(root, processor, 'in_image /filerpair node');
    expect(node).toMatchObject({
      code: 1,
      stderr: expect.stringContaining('the single executable has no packages'),
    });
    const proxy = await inside(
      root,
      processor,
      `in_image /filerpair proxy nfs://127.0.0.1/home?alone --listen 127.0.0.1:0 2>"$root/tmp/said" &
      until grep -q mount "$root/tmp/said"; do sleep 1; done; cat "$root/tmp/said" >&2`,
    );
    expect(proxy.stderr).toContain('sockets of Node carry the calls');
  });

  test('the operator starts, and says what it lacks outside a cluster', async () => {
    const root = await unpack('operator', processor);
    const { code, stderr, stdout } = await inside(
      root,
      processor,
      'in_image /usr/local/bin/node /app/dist/operator/main.js',
    );
    expect(code).not.toBe(0);
    expect(stdout + stderr).toContain('FILESERVER_IMAGE');
  });
});
