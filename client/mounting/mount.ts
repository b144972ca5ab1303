/** Mounts an export of a pair with the kernel's client: by the kernel's path where that is possible, else through the proxy. */
import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, readFileSync, realpathSync } from 'node:fs';
import { isIPv6 } from 'node:net';
import { setTimeout as delay } from 'node:timers/promises';
import { whyNoKernelPath } from '../node/kernel-path-missing.ts';
import { makePrivateNamespace, PRIVATE_NAMESPACE_FILE } from '../node/private-namespace.ts';
import type { NodeState, VirtualAddressFile } from '../node/state.ts';
import { systemNames } from '../system-names.ts';
import type { NfsUrl } from '../url.ts';
import { startInBackground } from './background.ts';
import { hostIn, type MountEntry, mountOptions, parseMounts, portOf, sourceOf } from './mount-table.ts';
import { accepts, claimPort, isClaimed } from './proxy-ports.ts';
import { isMountedByKernel } from './until-unmounted.ts';

export interface MountRequest {
  readonly text: string;
  readonly url: NfsUrl;
  readonly target: string;
  /** Options of the kernel's client, in addition to ours. */
  readonly options: string | undefined;
  /** Which way is wanted; `auto`: the kernel's path where it is possible. */
  readonly by: 'auto' | 'kernel' | 'proxy';
  readonly state: NodeState;
  /** The path of this program, which is started again in the background. */
  readonly program: string;
  readonly runtimeDirectory: string;
  readonly say: (line: string) => void;
}

/** How long a director that was just started may take to find the server. Ms. */
const READY_MS = 60_000;
/** One that runs sees a new address within this time. Ms. */
const NOTICE_MS = 700;
const POLL_MS = 20;
/** A proxy whose mount has ended ends within this time. Ms. */
const PROXY_END_MS = 10_000;

/** Says which way it took. Rejects with one sentence if neither is possible. */
export async function mountPair(request: MountRequest): Promise<void> {
  const isV6 = await isReachedByV6(request.url);
  const missing = request.by === 'proxy' ? 'the proxy was asked for' : await whyNoKernelPath(isV6);
  if (missing === null) return mountByKernel(request, isV6);
  if (request.by === 'kernel' || request.state.isPrivate) throw new Error(`no kernel path here: ${missing}`);
  request.say(`${request.target}: through the proxy, since ${missing}`);
  return mountByProxy(request);
}

async function mountByKernel(request: MountRequest, isV6: boolean): Promise<void> {
  const { url, state, target, say } = request;
  if (state.isPrivate) await makePrivate(isV6);
  const file = state.allocate(request.text, isV6);
  try {
    await directed(request, file);
    const options = mountOptions(2049, isV6, request.options);
    mountKernel(sourceOf(file.virtual, url.path), target, options, state.isPrivate);
  } catch (error) {
    // A director that was started for it ends by itself when no address is left.
    if (!isMounted(file.virtual)) state.remove(file.virtual);
    throw error;
  }
  // Another mount of this pair, at the same time, may have failed and taken the address out.
  state.keep(file);
  const where = state.isPrivate ? ' in the private network namespace' : '';
  say(`${target}: ${url.server}:${url.path} by the kernel's path (${file.virtual}${where})`);
}

/** Does the work of a director, so that a missing part is named here. */
async function makePrivate(isV6: boolean): Promise<void> {
  const { Masquerade } = await import('../node/masquerade.ts');
  makePrivateNamespace();
  const masquerade = new Masquerade();
  masquerade.begin(isV6);
  masquerade.close();
}

/** The version of IP by which the server is reached: the virtual address must be of the same. */
async function isReachedByV6({ endpoints }: NfsUrl): Promise<boolean> {
  const names = [endpoints.primary, endpoints.secondary].flatMap((each) =>
    each === null ? [] : [each.address],
  );
  for (const name of names) {
    const addresses = await systemNames.lookup(name).catch(() => []);
    if (addresses[0] !== undefined) return addresses.every((address) => isIPv6(address));
  }
  throw new Error(`${names.join(' and ')} do not resolve`);
}

/** Resolves when a director has a server for the address, and starts one if there is none. */
async function directed(request: MountRequest, { virtual }: VirtualAddressFile): Promise<void> {
  const { isDirected } = await import('../node/observe.ts');
  const endMs = performance.now() + READY_MS;
  let isStarted = false;
  let startAtMs = performance.now() + NOTICE_MS;
  const { isPrivate } = request.state;
  const isThere = () =>
    (!isPrivate || existsSync(PRIVATE_NAMESPACE_FILE)) &&
    isDirected(virtual, isPrivate ? PRIVATE_NAMESPACE_FILE : null);
  while (!isThere()) {
    const now = performance.now();
    if (now > endMs) {
      throw new Error(
        `no director has found a server of ${request.url.server} within ${READY_MS / 1000} s; ` +
          `filerpair doctor ${request.text} and the log of filerpair-node say more`,
      );
    }
    if (!isStarted && now > startAtMs) {
      isStarted = true;
      startAtMs = Number.POSITIVE_INFINITY;
      startInBackground({
        name: isPrivate ? 'filerpair-node-private' : 'filerpair-node',
        command: [
          ...again(request),
          'node',
          ...(isPrivate ? ['--private'] : []),
          '--while-used',
          '--state',
          request.state.directory,
        ],
        directory: request.runtimeDirectory,
      });
    }
    await delay(POLL_MS);
  }
}

/** A link to the program (mount.filerpair) would be another command. */
function again({ program }: MountRequest): string[] {
  return [process.execPath, realpathSync(program)];
}

async function mountByProxy(request: MountRequest): Promise<void> {
  const { url, target, runtimeDirectory } = request;
  const port = await claimPort(runtimeDirectory, request.text);
  const mountOnce = () =>
    mountKernel(sourceOf('127.0.0.1', url.path), target, mountOptions(port, false, request.options));
  await proxied(request, port);
  try {
    mountOnce();
  } catch (error) {
    // The proxy of a mount that has just ended may have ended in this moment.
    if (await accepts(port)) throw error;
    await proxied(request, port);
    mountOnce();
  }
  // It looks, and knows from now on that it is mounted.
  await accepts(port);
}

/** Resolves when the proxy listens, and starts it if it does not run. */
async function proxied(request: MountRequest, port: number): Promise<void> {
  if (await accepts(port)) return;
  startInBackground({
    name: `filerpair-proxy-${port}`,
    command: [...again(request), 'proxy', request.text, '--listen', `127.0.0.1:${port}`, '--while-mounted'],
    directory: request.runtimeDirectory,
  });
  const endMs = performance.now() + READY_MS;
  while (!(await accepts(port))) {
    if (performance.now() > endMs) throw new Error(`the proxy does not listen on 127.0.0.1:${port}`);
    await delay(POLL_MS);
  }
}

/** Runs mount.nfs, which knows what the kernel of this machine needs. */
function mountKernel(source: string, target: string, options: string, isPrivate = false): void {
  mkdirSync(target, { recursive: true });
  const run = inNamespaceOf(isPrivate, ['mount', '-t', 'nfs', '-o', options, source, target]);
  if (run.status === 0) return;
  throw new Error(
    `mount -t nfs -o ${options} ${source} ${target}: ${run.error?.message ?? run.stderr.trim()}`,
  );
}

/** Only the network is another one: what is mounted is seen everywhere. */
function inNamespaceOf(isPrivate: boolean, command: readonly string[]) {
  const words = isPrivate ? ['nsenter', `--net=${PRIVATE_NAMESPACE_FILE}`, ...command] : command;
  return spawnSync(words[0]!, words.slice(1), { encoding: 'utf8' });
}

export interface UnmountRequest {
  readonly target: string;
  readonly lazy: boolean;
  /** Directories in which its address may be. */
  readonly states: readonly NodeState[];
  readonly runtimeDirectory: string;
}

/** Ends a mount; when it was the last one of its address, the director forgets the address, or its proxy ends. */
export async function unmountPair({ target, lazy, states, runtimeDirectory }: UnmountRequest): Promise<void> {
  const entry = mounts().findLast((each) => each.target === target && each.type.startsWith('nfs'));
  if (entry === undefined) throw new Error(`${target}: nothing of NFS is mounted there`);
  const host = hostIn(entry.source);
  const state = states.find((each) => each.read().addresses.some(({ virtual }) => virtual === host));
  // umount.nfs says goodbye to the server.
  const run = inNamespaceOf(state?.isPrivate === true, ['umount', ...(lazy ? ['-l'] : []), target]);
  if (run.status !== 0) throw new Error(`umount ${target}: ${run.error?.message ?? run.stderr.trim()}`);
  // A lazy one may still have calls under way.
  if (lazy) return;
  if (state !== undefined && !isMounted(host)) state.remove(host);
  const port = portOf(entry);
  if (isClaimed(runtimeDirectory, port)) await proxyEnded(host, port);
}

/** A proxy looks after each connection whether it is still mounted, so that asking makes it end. */
async function proxyEnded(host: string, port: number): Promise<void> {
  const endMs = performance.now() + PROXY_END_MS;
  while (!isMountedByKernel(host, port) && (await accepts(port))) {
    if (performance.now() > endMs)
      throw new Error(`the proxy of the mount still listens on ${host}:${port}: end it`);
    await delay(POLL_MS);
  }
}

function mounts(): MountEntry[] {
  return parseMounts(readFileSync('/proc/self/mounts', 'utf8'));
}

function isMounted(host: string): boolean {
  return mounts().some(({ type, source }) => type.startsWith('nfs') && hostIn(source) === host);
}
