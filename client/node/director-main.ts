/** The process that directs all virtual addresses of a node. Its parent keeps what must outlive it (supervisor.ts). */
import { watch } from 'node:fs';
import { Resolver } from '../resolver.ts';
import { parseNfsUrl } from '../url.ts';
import { KernelPath } from './kernel-path.ts';
import { addressLine, logLine } from './log.ts';
import { Masquerade } from './masquerade.ts';
import { canonicalAddress as canonical } from './netlink/address.ts';
import { PRIVATE_NAMESPACE_FILE } from './private-namespace.ts';
import { NodeState, type VirtualAddressFile } from './state.ts';
import { BEGIN, DIRECTOR_SETTINGS, directorSettings } from './supervisor-settings.ts';
import type { VirtualAddressOptions } from './virtual-address.ts';
import { warmUp } from './warm-up.ts';

const settings = directorSettings.parse(JSON.parse(process.env[DIRECTOR_SETTINGS] ?? '{}'));
const state = new NodeState(settings.stateDirectory, settings.isPrivate);
const resolver = new Resolver();

/** Changes of the directory come in groups: a new file is written under another name first. Ms. */
const SETTLE_MS = 20;

let path: KernelPath | null = null;

function optionsOf(file: VirtualAddressFile): VirtualAddressOptions | null {
  const parsed = parseNfsUrl(file.url);
  if (!parsed.ok) {
    logLine(`${file.virtual}: ${parsed.reason}`);
    return null;
  }
  const onEvent: VirtualAddressOptions['onEvent'] = (event) => {
    const line = addressLine(file.virtual, event, settings.verbose);
    if (line !== null) logLine(line);
  };
  return { virtual: file.virtual, index: file.index, url: parsed.url, resolver, onEvent };
}

/** Serves what the directory says: addresses come with a mount and go with its end. */
function follow(serving: KernelPath): void {
  const { addresses, errors } = state.read();
  for (const error of errors) logLine(error.message);
  const named = new Set(addresses.map(({ virtual }) => canonical(virtual)));
  for (const virtual of [...serving.addresses.keys()]) if (!named.has(virtual)) serving.remove(virtual);
  const added = addresses.filter(({ virtual }) => !serving.addresses.has(canonical(virtual)));
  serving.add(added.flatMap((file) => optionsOf(file) ?? []));
}

function begin(): void {
  const masquerade = settings.isPrivate ? new Masquerade() : null;
  const serving = new KernelPath({
    namespace: settings.isPrivate ? PRIVATE_NAMESPACE_FILE : null,
    masquerade,
    holders: settings.holders,
    cures: settings.cures,
    onRestored: () => logLine('another program removed the rules; they are there again'),
    onError: (error) => logLine(`rules of nf_tables: ${error.message}`),
  });
  path = serving;
  follow(serving);
  let isSettling = false;
  watch(settings.stateDirectory, () => {
    if (isSettling) return;
    isSettling = true;
    setTimeout(() => {
      isSettling = false;
      follow(serving);
    }, SETTLE_MS);
  });
  process.send?.('directs');
}

function end(): void {
  path?.close();
  process.exit(0);
}
process.on('message', (message) => message === BEGIN && begin());
if (settings.isStandby) warmUp(() => path === null).catch(() => {});
process.on('SIGTERM', end);
process.on('SIGINT', end);
// Without the parent nobody would start the next one; the next parent starts its own.
process.on('disconnect', end);
