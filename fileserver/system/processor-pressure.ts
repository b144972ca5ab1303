/**
 * Whether somebody waits for a processor, as the kernel measures it (pressure stall information, Linux 4.20): of this
 * container where cgroup v2 shows it, else of the machine.
 */
import { readFileSync } from 'node:fs';

const FILES = ['/sys/fs/cgroup/cpu.pressure', '/proc/pressure/cpu'];

/**
 * Part of the last ten seconds, 0 to 1, in which something could have run and had no processor. null: the kernel does not
 * say. Reads a file of the kernel's, which no disk holds up.
 */
export function processorPressure(): number | null {
  for (const file of FILES) {
    try {
      const pressure = pressureIn(readFileSync(file, 'latin1'));
      if (pressure !== null) return pressure;
    } catch {
      // Not there, or switched off (EOPNOTSUPP): the next one may say.
    }
  }
  return null;
}

/** Of the text of such a file. */
export function pressureIn(text: string): number | null {
  const percent = /^some avg10=([\d.]+) /m.exec(text)?.[1];
  return percent === undefined ? null : Number(percent) / 100;
}
