/**
 * The temporary names of copies that are not complete. A copy that is killed cannot remove its own: the next copy into the same
 * directory does, where it is certain that nobody works on it any more.
 */
import { createHash, randomBytes } from 'node:crypto';
import { readFileSync, readlinkSync } from 'node:fs';
import { pid as ownPid } from 'node:process';

//   .filerpair-MACHINE-PID-START-RANDOM.part
//
// MACHINE stands for this run of this machine and its space of process ids (a container has its own), START for the time at which
// the process began. A process id that is given out again is another process.

/** After this time without a change a copy of another machine is over, whatever became of it. Ms. */
const ABANDONED_MS = 7 * 86_400_000;

const FORM = /^\.filerpair-([0-9a-f]{16})-(\d+)-(\d+)-([0-9a-f]{16})\.part$/;

/** Facts known of a file that has such a name. */
export interface FoundFile {
  readonly nlink: number;
  readonly mtimeMs: number;
  isFile(): boolean;
  isSymbolicLink(): boolean;
}

/** A name that no other process gives. `key`: 16 hexadecimal digits by which a later copy of the same file finds it. */
export function partName(key = randomBytes(8).toString('hex')): string {
  const { machine, start } = processMarks();
  return `.filerpair-${machine}-${ownPid}-${start}-${key}.part`;
}

/** The key in such a name; null: it is no such name. */
export function keyOfPart(name: string): string | null {
  return FORM.exec(name)?.[4] ?? null;
}

/**
 * True if a file is what a copy has left behind that is over. `nowMs` is the time by the clock that gave the file its mtimeMs. A
 * user who could give this name to a foreign file could remove that file as well; a second name needs no such right, so what has
 * one stays.
 */
export function isAbandoned(name: string, file: FoundFile, nowMs: number): boolean {
  const form = FORM.exec(name);
  if (form === null || !(file.isFile() || file.isSymbolicLink()) || file.nlink !== 1) return false;
  const [, machine, pid, start] = form;
  if (machine === processMarks().machine && machine !== NO_MACHINE) return startOf(Number(pid)) !== start;
  return nowMs - file.mtimeMs > ABANDONED_MS;
}

/** Looks like one of ours, before anything is asked about it. */
export function isPartName(name: string): boolean {
  return FORM.test(name);
}

const NO_MACHINE = '0'.repeat(16);
let marks: { machine: string; start: string } | null = null;

function processMarks(): { machine: string; start: string } {
  marks ??= { machine: machineMark(), start: startOf(ownPid) ?? '0' };
  return marks;
}

/** Zeros where the system does not say: then only time tells that a copy is over. */
function machineMark(): string {
  try {
    const boot = readFileSync('/proc/sys/kernel/random/boot_id', 'utf8');
    const processIds = readlinkSync('/proc/self/ns/pid');
    return createHash('sha256').update(`${boot} ${processIds}`).digest('hex').slice(0, 16);
  } catch {
    return NO_MACHINE;
  }
}

/** proc(5), field 22 of stat: clock ticks from the machine's start to the process's. Null if there is no such process. */
function startOf(pid: number): string | null {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
    // The second field is the program's name in parentheses, which may hold anything.
    return stat.slice(stat.lastIndexOf(')') + 2).split(' ')[19] ?? null;
  } catch {
    return null;
  }
}
