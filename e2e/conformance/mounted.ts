/** A script in a guest with the export mounted by its kernel: what every test of this directory does. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect } from 'vitest';
import { LOCAL_EXPORT, type LocalPair } from '../harness/local-pair.ts';
import { Guest, HOST_IN_GUEST } from '../linux/guest.ts';
import type { GuestImage } from '../linux/guest-image.ts';

export interface InMount {
  readonly image: GuestImage;
  /** A file of scripts/, and the shell variables that it wants. */
  readonly script: string;
  readonly settings?: Readonly<Record<string, string | number>>;
  /** In the guest's /t. */
  readonly files: readonly string[];
  readonly msMax: number;
}

/** Runs it to its end on filer-a's export and returns what it said; fails the test if it ended with anything but 0. */
export async function inMount(pair: LocalPair, what: InMount): Promise<string> {
  const settings = {
    HOST: HOST_IN_GUEST,
    PORT: pair.stage.primaryPort('filer-a'),
    EXPORT: LOCAL_EXPORT,
    ...what.settings,
  };
  const assignments = Object.entries(settings).map(([name, value]) => `${name}="${value}"`);
  const scripts = ['mount.sh', what.script].map((name) =>
    readFileSync(join(import.meta.dirname, 'scripts', name), 'utf8'),
  );
  const guest = await Guest.boot(what.image, [...assignments, ...scripts].join('\n'), what.files);
  try {
    const code = await guest.exitCode(what.msMax);
    expect(code, guest.output()).toBe(0);
    return guest.output();
  } finally {
    await guest.discard();
  }
}
