/** Which machine this process runs on. A node's name does not say: another machine may have got it. */

import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import type { RunsOn } from '../pair/incarnation.ts';

/** Another one after every boot. */
const BOOT_ID_FILE = '/proc/sys/kernel/random/boot_id';
/** By the firmware or the hypervisor; Kubernetes' systemUUID. Not every machine has one (SMBIOS 7.2.1, System UUID). */
const MACHINE_ID_FILE = '/sys/class/dmi/id/product_uuid';

/** Hashes, as every reader of a Lease sees the names. Throws where the kernel has no boot ID. */
export function thisMachine(bootFile = BOOT_ID_FILE, machineFile = MACHINE_ID_FILE): RunsOn {
  const machine = uuidIn(machineFile);
  return { boot: shortened(readFileSync(bootFile, 'utf8').trim()), machine: machine && shortened(machine) };
}

/** null: there is none, this process may not read it, or it is one of those that say that it was never set. */
function uuidIn(file: string): string | null {
  try {
    const uuid = readFileSync(file, 'utf8').trim().toLowerCase();
    return /^[0-9a-f-]{36}$/.test(uuid) && !/^[0-]+$|^[f-]+$/.test(uuid) ? uuid : null;
  } catch {
    return null;
  }
}

const shortened = (text: string): string => createHash('sha256').update(text).digest('hex').slice(0, 12);
