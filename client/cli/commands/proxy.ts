/** filerpair proxy: a local address for NFS clients that know nothing of pairs. */
import { isMountedByKernel, UntilUnmounted } from '../../mounting/until-unmounted.ts';
import { compactHeap } from '../../proxy/compact-heap.ts';
import { keptIdentity } from '../../proxy/kept-identity.ts';
import { serveMetrics } from '../../proxy/metrics-server.ts';
import { NfsProxy, type ProxyEvent } from '../../proxy/proxy.ts';
import { formatAddress } from '../../transport-address.ts';
import { type Command, CommandError, type Surroundings, UsageError } from '../command.ts';
import { narrate, nfsUrl } from '../session.ts';

/** The proxy has started by then. Ms. */
const COMPACT_MS = 1000;
const DEFAULT_LISTEN = '127.0.0.1:20490';

export const proxy: Command = {
  name: 'proxy',
  summary: "let an unmodified NFS client (the kernel's) follow the pair",
  group: 'Servers',
  target: 'export',
  operands: [{ name: 'URL' }],
  details: [
    'The proxy runs until it is stopped. It listens to this machine only unless told otherwise: a client that can reach',
    'it acts with the address of this machine. The path of the URL only serves to print the mount command.',
  ],
  options: {
    listen: {
      value: 'HOST:PORT',
      help: `where the NFS client finds the proxy (default ${DEFAULT_LISTEN})`,
    },
    metrics: {
      value: 'HOST:PORT',
      help: 'where Prometheus finds how long calls of its clients wait (default: nowhere)',
    },
    'while-mounted': {
      help: 'end when the kernel has no mount of it any more, as filerpair mount starts it',
    },
  },
  runsOn: true,
  async run([text], flags, common, world) {
    const url = nfsUrl(text!);
    const { host, port } = addressOf('listen', (flags['listen'] as string | undefined) ?? DEFAULT_LISTEN);
    const metrics = flags['metrics'] as string | undefined;
    const scraped = metrics === undefined ? null : addressOf('metrics', metrics);
    const say = (line: string) => world.stderr.line(`${new Date().toISOString().slice(11, 23)} ${line}`);
    const unmounted =
      flags['while-mounted'] === true ? new UntilUnmounted(() => isMountedByKernel(host, port)) : null;
    const running = await NfsProxy.listen({
      endpoints: url.endpoints,
      host,
      port,
      clientIdentity: await identityAt(host, port, world, say),
      onEvent: (event) => {
        if (event.kind === 'ClientGone') unmounted?.clientGone();
        const line = describe(url.server, event, common.verbose);
        if (line !== null) say(line);
      },
    }).catch(cannotListen('listen', host, port));
    const metricsServer =
      scraped === null
        ? null
        : await serveMetrics(running, url.server, scraped.host, scraped.port).catch(
            cannotListen('metrics', scraped.host, scraped.port),
          );
    const { primary, secondary } = url.endpoints;
    const second = secondary === null ? 'no partner' : formatAddress(secondary);
    say(`proxy for ${formatAddress(primary)} and ${second} on ${host}:${running.port}`);
    say(`mount -t nfs -o ${mountOptions(running.port)} ${host}:${url.path} /mnt`);
    setTimeout(compactHeap, COMPACT_MS).unref();
    await Promise.race([stopped(world.stop), ...(unmounted === null ? [] : [unmounted.ended])]);
    metricsServer?.close();
    await running.close();
  },
};

/** At a port that the kernel chooses no other proxy will ever be found. */
async function identityAt(
  host: string,
  port: number,
  { runtimeDirectory }: Surroundings,
  say: (line: string) => void,
): Promise<Uint8Array | undefined> {
  if (port === 0) return undefined;
  try {
    if (runtimeDirectory === null) throw new Error('XDG_RUNTIME_DIR is not set');
    return await keptIdentity(runtimeDirectory, `${host}:${port}`);
  } catch (error) {
    const { message } = error as Error;
    say(
      `who this proxy is to the servers is not kept (${message}): calls without an answer when it is restarted may be executed twice`,
    );
    return undefined;
  }
}

/** All that a kernel must be told so that it asks for nothing but this one port. */
function mountOptions(port: number): string {
  return `vers=3,proto=tcp,mountproto=tcp,port=${port},mountport=${port},nolock,hard,noresvport`;
}

function describe(server: string, event: ProxyEvent, verbose: boolean): string | null {
  switch (event.kind) {
    case 'ClientConnected':
      return verbose ? `client ${event.client} connected` : null;
    case 'ClientGone': {
      const { calls, replies, repeated } = event.counts;
      const counts = `${calls} calls (${repeated} repeated), ${replies} replies`;
      return verbose ? `client ${event.client} gone: ${event.reason}; ${counts}` : null;
    }
    case 'Full':
      return `${event.connections} connections, and no room for more: those that come wait until some end`;
    case 'NoReservedPorts':
      return `connections to the servers are opened from ordinary ports: this process may not open ports below 1024 (${event.reason}). Exports with "ports: Reserved" refuse them; run the proxy as root or with CAP_NET_BIND_SERVICE`;
    case 'NoRawCalls':
      return 'sockets of Node carry the calls, at several times the processor time: the package koffi is not here, or this is not Linux. The single executable has no packages; filerpair from npm has them, and so has the image of the file server';
    case 'Open':
      return `${event.connections} connections: new ones are accepted again`;
    case 'Waiting':
      return narrate(server, event.event, { verbose, timeoutMs: undefined });
    case 'Upstream': {
      // Unlike a command, the proxy has nothing else to say: losses and adoptions are its log.
      const worth = event.event.kind === 'Lost' || event.event.kind === 'Adopted';
      const line = narrate(server, event.event, { verbose: verbose || worth, timeoutMs: undefined });
      return line === null ? null : `client ${event.client}: ${line}`;
    }
  }
}

const cannotListen = (flag: string, host: string, port: number) => (error: NodeJS.ErrnoException) => {
  throw new CommandError(
    error.code === 'EADDRINUSE'
      ? `${host}:${port} is in use: choose another address with --${flag}`
      : `cannot listen on ${host}:${port}: ${error.message}`,
  );
};

function addressOf(flag: string, text: string): { host: string; port: number } {
  const match = /^(\[[0-9a-fA-F:%.]+\]|[^:]+):(\d{1,5})$/.exec(text);
  const port = Number(match?.[2]);
  if (!match || !(port <= 65535)) throw new UsageError(`--${flag} ${text}: not of the form HOST:PORT`);
  return { host: match[1]!.replace(/^\[|\]$/g, ''), port };
}

function stopped(signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) resolve();
    else signal.addEventListener('abort', () => resolve(), { once: true });
  });
}
