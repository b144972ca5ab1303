/**
 * A Debian guest whose first process is systemd: the unit of docs/clients.md keeps a mount by the kernel's path, and `filerpair mount`
 * starts one of its own where none is installed.
 */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { REPOSITORY, readKernelGuests } from '../environment.ts';
import { step } from '../harness/step.ts';
import { KernelMount } from './kernel-mount.ts';

const UNIT = 'filerpair-node';
const INSTALLED = `/etc/systemd/system/${UNIT}.service`;

/** The unit that docs/clients.md gives. */
function unitOfDocs(): string {
  const docs = readFileSync(join(REPOSITORY, 'docs/clients.md'), 'utf8');
  return /```ini\n([\s\S]*?)```/.exec(docs)![1]!;
}

describe.each(readKernelGuests())('Debian $debian, by systemd', ({ debian, image }) => {
  let mount: KernelMount;
  beforeAll(async () => {
    mount = await step(`the guest boots (${debian})`, () => KernelMount.boot(image, 'kernel', true));
  });
  afterAll(() => mount?.discard());
  const show = async (property: string) => (await mount.run(`systemctl show -P ${property} ${UNIT}`)).trim();

  test('the unit of the docs keeps the mount, and what kills its program is made good', async () => {
    await mount.run(`cat >${INSTALLED} <<'END'\n${unitOfDocs()}END\nsystemctl daemon-reload`);
    // The guest has no pages of man.
    expect(await mount.run(`systemd-analyze verify --man=no ${INSTALLED} 2>&1`)).toBe('');
    await mount.run(`systemctl start ${UNIT}; filerpair mount '${mount.url}' /mnt/unit`);
    expect(await show('Transient')).toBe('no');
    await mount.run('echo before >/mnt/unit/unit; sync');

    await mount.run(`systemctl kill --signal=KILL --kill-whom=main ${UNIT}`);
    await mount.run(`until [ "$(systemctl show -P NRestarts ${UNIT})" = 1 ]; do sleep 0.1; done`);
    await mount.killServer();
    expect(await mount.run('echo after >>/mnt/unit/unit; cat /mnt/unit/unit')).toBe('before\nafter\n');

    // Stopped, it leaves the mount as it is.
    await mount.run(`systemctl stop ${UNIT}; echo meanwhile >>/mnt/unit/unit; sync`);
    await mount.run(`systemctl start ${UNIT}`);
    await mount.giveBack();
    expect(await mount.run('cat /mnt/unit/unit')).toBe('before\nafter\nmeanwhile\n');
    await mount.run(
      `filerpair umount /mnt/unit; systemctl stop ${UNIT}; rm ${INSTALLED}; systemctl daemon-reload`,
    );
  });

  test('without that unit, mount starts one of its own, and it ends with the mount', async () => {
    await mount.run(`filerpair mount '${mount.url}' /mnt/unit`);
    expect(await show('Transient')).toBe('yes');
    await mount.run(
      `filerpair umount /mnt/unit; while systemctl is-active --quiet ${UNIT}; do sleep 0.1; done`,
    );
    expect(await mount.run('pgrep -f "main.js node|director-main" || true')).toBe('');
  });
});
