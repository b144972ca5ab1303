/** Starts a program of ours that outlives the command: as a unit of systemd where that runs, else as a process of its own. */
import { spawn, spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, openSync } from 'node:fs';
import { join } from 'node:path';

export interface Background {
  /** Name of the unit and of the log: `filerpair-node`. */
  readonly name: string;
  readonly command: readonly string[];
  /** For the log where there is no systemd. */
  readonly directory: string;
}

/** Throws with what systemd says if it refuses. */
export function startInBackground({ name, command, directory }: Background): void {
  if (existsSync('/run/systemd/system')) {
    // An installed unit of this name is what the administrator wants.
    if (spawnSync('systemctl', ['start', name], { stdio: 'ignore' }).status === 0) return;
    const unit = [
      '--unit',
      name,
      '--collect',
      '--property=Restart=on-failure',
      '--property=RestartSec=100ms',
    ];
    const run = spawnSync('systemd-run', ['--quiet', ...unit, ...command], { encoding: 'utf8' });
    if (run.status === 0) return;
    throw new Error(`systemd does not start ${name}: ${run.stderr?.trim() || run.error?.message}`);
  }
  mkdirSync(directory, { recursive: true, mode: 0o755 });
  const log = openSync(join(directory, `${name}.log`), 'a', 0o644);
  const [program, ...args] = command;
  spawn(program!, args, { detached: true, stdio: ['ignore', log, log] }).unref();
}
