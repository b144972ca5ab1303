import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import { thisMachine } from './this-machine.ts';

const BOOT = 'c3a6b1de-5d0f-4b57-9d9f-3b0f1f2a4c5d';

function machine(bootId: string, uuid: string | null) {
  const directory = mkdtempSync(join(tmpdir(), 'machine-'));
  onTestFinished(() => rmSync(directory, { recursive: true }));
  writeFileSync(join(directory, 'boot_id'), `${bootId}\n`);
  if (uuid !== null) writeFileSync(join(directory, 'product_uuid'), `${uuid}\n`);
  return thisMachine(join(directory, 'boot_id'), join(directory, 'product_uuid'));
}

test('a machine keeps its name over a reboot, and another one has another', () => {
  const first = machine(BOOT, '4C4C4544-0042-3510-8053-B4C04F564433');
  const rebooted = machine(BOOT.replace('c3', 'd4'), '4c4c4544-0042-3510-8053-b4c04f564433');
  expect(first.boot).toMatch(/^[0-9a-f]{12}$/);
  expect(first.machine).toMatch(/^[0-9a-f]{12}$/);
  expect(rebooted.machine).toBe(first.machine);
  expect(rebooted.boot).not.toBe(first.boot);
  expect(machine(BOOT, '00000001-0042-3510-8053-b4c04f564433').machine).not.toBe(first.machine);
});

test.each([
  null,
  '00000000-0000-0000-0000-000000000000',
  'FFFFFFFF-FFFF-FFFF-FFFF-FFFFFFFFFFFF',
  'Not Settable',
])('%s names no machine', (uuid) => {
  expect(machine(BOOT, uuid).machine).toBeNull();
});

test('this one has booted', () => {
  expect(thisMachine().boot).toMatch(/^[0-9a-f]{12}$/);
});
