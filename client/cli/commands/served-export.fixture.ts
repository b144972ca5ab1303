/** An export that a real data thread serves, a local directory, and the command line as a process of its own. */
import { execFile } from 'node:child_process';
import { join } from 'node:path';
import { afterAll, beforeAll } from 'vitest';
import {
  openMessage,
  TestDataThread,
  temporaryDirectory,
} from '../../../fileserver/data-path/data-thread.fixture.ts';
import { program } from '../../../testing/program.ts';

export const MAIN = program(new URL('../main.ts', import.meta.url));
export const volume = temporaryDirectory();
export const local = temporaryDirectory();
export const env = { ...process.env, NODE_COMPILE_CACHE: join(local.path, 'compiled') };
let thread: TestDataThread;
let port: number;

beforeAll(async () => {
  thread = new TestDataThread();
  ({ port } = await thread.open(openMessage(volume.path)));
}, 60_000);

afterAll(async () => {
  await thread?.stop();
  volume.remove();
  local.remove();
});

export interface Outcome {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

export function filerpair(...args: string[]): Promise<Outcome> {
  return new Promise((resolve) => {
    execFile(process.execPath, [MAIN, ...args], { env }, (error, stdout, stderr) => {
      resolve({ code: error === null ? 0 : Number(error.code), stdout, stderr });
    });
  });
}

/** A URL below the export. */
export const at = (path: string): string => `nfs://127.0.0.1:${port}/data/${path}?alone`;
