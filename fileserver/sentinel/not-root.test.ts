/** The sentinel as it runs in a pod: not root, without capabilities, beside a server that is root. */
import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { chmodSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { certificateFiles, writeCertificates } from '../interconnect/certificates.fixture.ts';

/** As operator/desired/pod.ts has it. */
const UID = 65532;
const program = (name: string): string => new URL(name, import.meta.url).pathname;
const sentinelMain = program('./main.ts');

/** Root may become somebody else, who may be unable to read where this repository is. */
const possible =
  process.getuid?.() === 0 &&
  spawnSync(process.execPath, ['--check', sentinelMain], { uid: UID, gid: UID }).status === 0;

test.skipIf(!possible)('tells of the death of a server that is root, without being root', async () => {
  const directory = mkdtempSync(join(tmpdir(), 'filerpair-not-root-'));
  const children: ChildProcess[] = [];
  try {
    chmodSync(directory, 0o755);
    for (const name of ['run', 'data']) mkdirSync(join(directory, name));
    // As the kubelet makes an emptyDir.
    chmodSync(join(directory, 'run'), 0o777);
    await writeCertificates(directory);
    const set = { volumes: [{ name: 'data', path: join(directory, 'data') }], exports: [] };
    const file = join(directory, 'server.json');
    const config = {
      pair: 'home',
      server: 'filer-a',
      partner: 'filer-b',
      partnerAddress: { host: '127.0.0.1' },
      listen: { host: '127.0.0.1', primary: 0, secondary: 0, interconnect: 0, metrics: 0 },
      runDir: join(directory, 'run'),
      tls: certificateFiles(directory, 'filer-a', 'filer-b'),
      witness: { kind: 'embedded', directory: join(directory, 'witness') },
      diskSets: { 'filer-a': set, 'filer-b': set },
    };
    writeFileSync(file, JSON.stringify(config), { mode: 0o644 });
    let said = '';
    const start = (main: string, as: object): ChildProcess => {
      const child = spawn(process.execPath, [main, '--config', file], as);
      children.push(child);
      for (const stream of [child.stdout, child.stderr])
        stream?.on('data', (data: Buffer) => {
          said += data.toString();
        });
      return child;
    };
    const sentinel = start(sentinelMain, { uid: UID, gid: UID });
    const server = start(program('../main.ts'), {});
    await expect.poll(() => said).toContain('The sentinel watches this process');
    const status = readFileSync(`/proc/${sentinel.pid}/status`, 'utf8');
    expect(status).toMatch(new RegExp(`^Uid:\\s+${UID}\\s+${UID}`, 'm'));
    expect(status).toMatch(/^CapEff:\s+0+$/m);
    server.kill('SIGKILL');
    await expect.poll(() => said).toContain('has exited; it held');
  } finally {
    for (const child of children) {
      if (child.exitCode !== null || child.signalCode !== null) continue;
      child.kill('SIGKILL');
      await once(child, 'exit');
    }
    rmSync(directory, { recursive: true, force: true });
  }
});
