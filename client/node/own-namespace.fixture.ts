/** Runs a script of a test in a network namespace of its own, where it may do to the kernel's tables what it likes. */
import { spawn, spawnSync } from 'node:child_process';

// Its loopback carries everything: virtual addresses have a route there, and connections to them come from 127.0.0.1 or ::1.
const PREPARE = [
  'ip link set lo up',
  'ip route add 169.254.0.0/16 dev lo src 127.0.0.1',
  'ip -6 route add fd00::/8 dev lo src ::1 2>/dev/null',
  // Named namespaces that a script makes are its own, too.
  'mkdir -p /run/netns && mount -t tmpfs none /run/netns',
  'exec "$@"',
].join('\n');

/** Null: possible here. Else why not. */
export function whyNoNamespace(): string | null {
  if (process.platform !== 'linux' || process.getuid?.() !== 0) return 'it takes root on Linux';
  const tried = spawnSync('unshare', ['-n', '-m', 'sh', '-c', 'ip link set lo up'], { encoding: 'utf8' });
  return tried.status === 0 ? null : `no network namespace here: ${tried.stderr.trim()}`;
}

/** What the script prints as its last line, from JSON. Rejects with all that it said if it fails. */
export async function inOwnNamespace<T>(script: string, ...args: readonly string[]): Promise<T> {
  return (await inOwnNamespaceWithLog<T>(script, ...args)).result;
}

/** The same, with the lines that it wrote to standard error. */
export async function inOwnNamespaceWithLog<T>(
  script: string,
  ...args: readonly string[]
): Promise<{ result: T; log: string[] }> {
  const child = spawn('unshare', ['-n', '-m', 'sh', '-c', PREPARE, 'sh', process.execPath, script, ...args], {
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  let output = '';
  let errors = '';
  child.stdout.on('data', (chunk) => (output += chunk));
  child.stderr.on('data', (chunk) => (errors += chunk));
  const code = await new Promise<number | null>((resolve) => child.once('close', resolve));
  if (code !== 0) throw new Error(`${script} ended with ${code}:\n${output}${errors}`);
  return { result: JSON.parse(output.trim().split('\n').at(-1)!) as T, log: errors.split('\n') };
}
