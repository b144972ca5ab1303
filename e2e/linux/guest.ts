/** Boots the Linux guest and runs a script in it. */
import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import {
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  statSync,
  truncateSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { eventually } from '../../testing/eventually.ts';
import { run, start } from '../machine/command.ts';
import type { GuestImage } from './guest-image.ts';

// The script comes in on a second disk. Its output goes out over a serial line, line by line, so that a test can do something to
// the servers at a moment of the script's choosing. The last line carries the exit code.

/** Where the guest sees this machine's 127.0.0.1. */
export const HOST_IN_GUEST = '10.0.2.2';

const KERNEL_ARGUMENTS = [
  ...['edd=off', 'console=ttyS0', 'panic=-1', 'quiet', 'mitigations=off', 'random.trust_cpu=on'],
  // On a machine that is too busy to deliver an interrupt in time the kernel would panic ("timer doesn't work").
  'no_timer_check',
  // Else every time stamp is an access to an emulated device.
  'tsc=reliable',
];

/** Text kept of the console when a guest ends without a result: a kernel's last words. */
const LAST_WORDS = 1_500;

export interface GuestHardware {
  /** Default: 2. */
  readonly processors?: number;
  /** Default: 1024. */
  readonly memoryMiB?: number;
  /** A tar file, which the script finds as /dev/vdc. */
  readonly archive?: string;
  /** systemd is the guest's first process, and the script one of its services. Default: there is no systemd. */
  readonly bySystemd?: boolean;
}

export class Guest {
  readonly #directory: string;
  readonly #qemu: ChildProcess;
  #ended = false;

  private constructor(directory: string, qemu: ChildProcess) {
    this.#directory = directory;
    this.#qemu = qemu;
    qemu.on('close', () => {
      this.#ended = true;
    });
  }

  /** Boots the guest (5 to 10 s of emulation) with a bash script, and directories or files beside it in /t. */
  static async boot(
    image: GuestImage,
    script: string,
    files: readonly string[] = [],
    hardware: GuestHardware = {},
  ): Promise<Guest> {
    const directory = mkdtempSync(join(tmpdir(), 'filerpair-guest-'));
    const content = join(directory, 'content');
    mkdirSync(content);
    writeFileSync(join(content, 'script'), script);
    if (hardware.bySystemd === true) writeFileSync(join(content, 'by-systemd'), '');
    for (const path of files) cpSync(path, join(content, path.replace(/^.*\//, '')), { recursive: true });
    const disk = join(directory, 'content.tar');
    await run(['tar', '-cf', disk, '-C', content, '.']);
    padToSectors(disk);
    return new Guest(directory, start(qemuCommand(image, disk, directory, hardware)));
  }

  /** What the script has printed so far. */
  output(): string {
    return this.#read('output');
  }

  /** Waits until the script has printed the text. */
  async says(text: string, msMax: number): Promise<void> {
    await eventually(
      `the guest says "${text}"`,
      msMax,
      () => {
        if (this.output().includes(text)) return true;
        if (this.#ended) throw new Error(`the guest ended before it said "${text}":\n${this.#lastWords()}`);
        return false;
      },
      () => this.#lastWords(),
    );
  }

  /** Waits for the end of the script and returns its exit code. */
  async exitCode(msMax: number): Promise<number> {
    await eventually(
      'the guest has ended',
      msMax,
      () => this.#ended,
      () => this.#lastWords(),
    );
    const code = /^GUEST-RC (\d+)$/m.exec(this.output())?.[1];
    if (code === undefined) throw new Error(`the guest ended without a result:\n${this.#lastWords()}`);
    return Number(code);
  }

  /** Ends the guest if it still runs, and removes its files. */
  async discard(): Promise<void> {
    if (!this.#ended) {
      const closed = once(this.#qemu, 'close');
      this.#qemu.kill('SIGKILL');
      await closed;
    }
    rmSync(this.#directory, { recursive: true, force: true });
  }

  #read(name: string): string {
    const path = join(this.#directory, name);
    return existsSync(path) ? readFileSync(path, 'utf8').replaceAll('\r', '') : '';
  }

  #lastWords(): string {
    return `${this.output().slice(-LAST_WORDS)}\n--- console ---\n${this.#read('console').slice(-LAST_WORDS)}`;
  }
}

/** A disk has whole sectors; the kernel of the guest does not see what is behind the last one. */
export function padToSectors(path: string): void {
  truncateSync(path, Math.ceil(statSync(path).size / 1024 / 1024) * 1024 * 1024);
}

function qemuCommand(
  image: GuestImage,
  disk: string,
  directory: string,
  { processors = 2, memoryMiB = 1024, archive }: GuestHardware,
): string[] {
  const readOnly = (file: string) => ['-drive', `file=${file},format=raw,if=virtio,readonly=on`];
  return [
    'qemu-system-x86_64',
    ...['-accel', 'tcg,thread=multi', '-cpu', 'max', '-smp', `${processors}`, '-m', `${memoryMiB}`],
    ...['-nographic', '-no-reboot', '-monitor', 'none', '-display', 'none'],
    ...['-kernel', image.kernel, '-initrd', image.ramDisk],
    ...['-append', KERNEL_ARGUMENTS.join(' ')],
    // snapshot=on: what the guest writes to its root is thrown away.
    ...['-drive', `file=${image.root},format=raw,if=virtio,snapshot=on`],
    ...readOnly(disk),
    ...(archive === undefined ? [] : readOnly(archive)),
    ...[
      '-netdev',
      'user,id=net,ipv6=off',
      '-device',
      'virtio-net-pci,netdev=net,romfile=',
      '-device',
      'virtio-rng-pci',
    ],
    ...['-serial', `file:${join(directory, 'console')}`, '-serial', `file:${join(directory, 'output')}`],
  ];
}
