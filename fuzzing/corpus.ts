/** Inputs in files, one a line in hexadecimal digits: small enough for the repository, and a diff shows what came. */
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname } from 'node:path';
import { fileURLToPath } from 'node:url';

/** What the repository keeps of a target: each of these once reached something that those before did not. */
export function keptFile(target: string): string {
  return fileURLToPath(new URL(`./corpus/${target}.hex`, import.meta.url));
}

/** What was found on this machine, to go on from. */
export function foundFile(target: string): string {
  return fileURLToPath(new URL(`../.cache/fuzzing/${target}.hex`, import.meta.url));
}

export function readInputs(file: string): Uint8Array[] {
  if (!existsSync(file)) return [];
  const lines = readFileSync(file, 'utf8').split('\n');
  return lines.filter((line) => line !== '').map((line) => new Uint8Array(Buffer.from(line, 'hex')));
}

export function writeInputs(file: string, inputs: readonly Uint8Array[]): void {
  mkdirSync(dirname(file), { recursive: true });
  writeFileSync(file, inputs.map((input) => `${Buffer.from(input).toString('hex')}\n`).join(''));
}
