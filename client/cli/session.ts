/** A command's connection to the export that its URL names. */
import type { ConnectionEvent } from '../connection-event.ts';
import { FilerPairClient } from '../filer-pair-client.ts';
import { type NfsUrl, parseNfsUrl } from '../url.ts';
import { type CommonOptions, type Surroundings, UsageError } from './command.ts';

/** Outages shorter than this are nobody's business unless --verbose asks for them. */
const WORTH_SAYING_MS = 1000;

export interface Session {
  readonly client: FilerPairClient;
  /** Path that the URL names, below the export. */
  readonly path: string;
  /** The same as people know it. */
  readonly label: string;
  readonly url: NfsUrl;
}

export function nfsUrl(text: string): NfsUrl {
  const parsed = parseNfsUrl(text);
  if (!parsed.ok) throw new UsageError(parsed.reason);
  return parsed.url;
}

/** Connects, runs, closes. Commands that use several URLs of one export share the first one's connection. */
export async function withSession<T>(
  text: string,
  common: CommonOptions,
  world: Surroundings,
  use: (session: Session) => Promise<T>,
): Promise<T> {
  const url = nfsUrl(text);
  const client = await connect(text, common, world);
  try {
    const result = await use({ client, path: client.subPath, label: `${url.server}:${url.path}`, url });
    await client.close();
    return result;
  } finally {
    client.destroy();
  }
}

export async function connect(
  text: string,
  common: CommonOptions,
  world: Surroundings,
  onEvent: (event: ConnectionEvent) => void = () => {},
): Promise<FilerPairClient> {
  const url = nfsUrl(text);
  sayIfWithoutFailover(text, url, world);
  const client = new FilerPairClient(url, {
    identity: common.identity,
    callTimeoutMs: common.timeoutMs,
  });
  client.on('connection', (event) => {
    onEvent(event);
    const line = narrate(url.server, event, common);
    if (line !== null) world.stderr.line(`filerpair: ${line}`);
  });
  await client.connect({ signal: world.stop });
  return client;
}

/** Servers about which it has been said, for each run of a command. */
const said = new WeakMap<Surroundings, Set<string>>();

/** An address has no failover name, and the command would wait for the server through an outage that its partner covers. */
function sayIfWithoutFailover(text: string, { endpoints, server }: NfsUrl, world: Surroundings): void {
  const options = new URLSearchParams(/\?(.*)$/.exec(text)?.[1] ?? '');
  if (endpoints.secondary !== null || options.has('alone') || options.has('mountport')) return;
  const servers = said.get(world) ?? new Set();
  said.set(world, servers);
  if (servers.has(server)) return;
  servers.add(server);
  world.stderr.line(
    `filerpair: ${server} is an address, which has no failover name: this does not follow the pair. Use the server's name, or say where its partner is (?failover=HOST); ?alone for a server without one`,
  );
}

/** A sentence about an event of the connection, or null if it is not worth one. */
export function narrate(
  server: string,
  event: ConnectionEvent,
  { verbose, timeoutMs }: Pick<CommonOptions, 'verbose' | 'timeoutMs'>,
): string | null {
  switch (event.kind) {
    case 'Waiting': {
      const patience =
        timeoutMs === undefined ? 'for as long as it takes' : `for ${timeoutMs / 1000} s at most`;
      return `no answer from ${server} yet, trying ${patience} (--timeout): ${event.why}`;
    }
    case 'Lost':
      return verbose ? `${server}: lost ${event.target} (${event.reason}); trying both ports` : null;
    case 'Doubted':
      return verbose ? `${server}: ${event.target} is silent; trying both ports beside it` : null;
    case 'Reassured':
      return verbose ? `${server}: it was only slow` : null;
    case 'Adopted': {
      if (!verbose && event.afterMs < WORTH_SAYING_MS) return null;
      const again = event.resent === 0 ? '' : `, ${event.resent} unanswered calls sent again`;
      return `${server}: served at ${event.target} (${event.port} port) after ${Math.round(event.afterMs)} ms${again}`;
    }
  }
}
