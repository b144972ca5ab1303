/** Whether an image is here, and fetching it where a registry answers. */
import { spawn } from 'node:child_process';
import { createInterface } from 'node:readline';
import { succeeds } from './command.ts';
import { say } from './stage.ts';

/** A registry that has not named the image by now is not worth waiting for. */
const FIRST_SIGN_MS_MAX = 10_000;
/** 400 MB over a slow line. */
const PULL_MS_MAX = 10 * 60_000;

/** One run asks the registry once: when it did not answer for one image it will not for the next. */
let registryAnswers: boolean | undefined;

export async function imageExists(reference: string): Promise<boolean> {
  return succeeds(['docker', 'image', 'inspect', '--format', '{{.Id}}', reference]);
}

/**
 * True when the registry gave us the image. `docker pull` prints its first line as soon as the registry has
 * answered, and hangs for minutes when packets are swallowed: no line, no registry.
 */
export async function pull(reference: string): Promise<boolean> {
  if (registryAnswers === false) return false;
  say(`asking the image registry for ${reference} ...`);
  const child = spawn('docker', ['pull', reference], { stdio: ['ignore', 'pipe', 'ignore'] });
  let limit = setTimeout(() => child.kill('SIGKILL'), FIRST_SIGN_MS_MAX);
  createInterface({ input: child.stdout }).once('line', () => {
    registryAnswers = true;
    clearTimeout(limit);
    limit = setTimeout(() => child.kill('SIGKILL'), PULL_MS_MAX);
  });
  const code = await new Promise<number | null>((resolve) => child.on('close', resolve));
  clearTimeout(limit);
  registryAnswers ??= false;
  say(
    code === 0 ? `${reference} is here` : `no registry gives us ${reference}: it is made from packages here`,
  );
  return code === 0;
}
