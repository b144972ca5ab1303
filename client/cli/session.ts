/** A command's connection to the export that its URL names. */
import type { ConnectionEvent } from '../connection-event.ts';
import { FilerPairClient } from '../filer-pair-client.ts';
import { type NfsUrl, parseNfsUrl } from '../url.ts';
import { type CommonOptions, type Surroundings, UsageError } from './command.ts';

/** Outages shorter than this are nobody's business unless --verbose asks for them. */
const WORTH_SAYING_MS = 1000;

export interface Session {
  readonly client: FilerPairClient;
  /** What the URL names, below the export. */
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
  const client = await connect(url, common, world);
  try {
    const result = await use({ client, path: client.subPath, label: `${url.server}:${url.path}`, url });
    await client.close();
    return result;
  } finally {
    client.destroy();
  }
}

export async function connect(
  url: NfsUrl,
  common: CommonOptions,
  world: Surroundings,
): Promise<FilerPairClient> {
  const client = new FilerPairClient(url, {
    identity: common.identity,
    callTimeoutMs: common.timeoutMs,
  });
  client.on('connection', (event) => {
    const line = narrate(url.server, event, common);
    if (line !== null) world.stderr.line(`filerpair: ${line}`);
  });
  await client.connect({ signal: world.stop });
  return client;
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
      return `waiting for ${server}, ${patience}: ${event.why}`;
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
