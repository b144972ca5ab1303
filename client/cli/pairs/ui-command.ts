/** kubectl filerpair ui: a page about a pair, on this machine, that is kept up to date. */
import { spawn } from 'node:child_process';
import { platform } from 'node:os';
import { setTimeout as delay } from 'node:timers/promises';
import { type Command, CommandError, UsageError } from '../command.ts';
import { ClusterSource } from '../console/cluster-source.ts';
import { ConsoleServer } from '../console/console-server.ts';
import { inCluster, PAIR, pairMeant } from './cluster.ts';

/** Between the end of a reading and the next one, ms. */
const READ_EVERY_MS = 500;

export const ui: Command = {
  name: 'ui',
  summary: 'a page in the browser: the pair as a picture, live, with conditions, history, load and room',
  group: 'See',
  target: 'cluster',
  operands: [PAIR],
  details: [
    'The page is served to this machine alone (127.0.0.1), below a random path, until the command is stopped.',
    'It reads with your own rights and changes nothing; nothing is added to the cluster. The figures of servers come',
    'through the API server: they need the right to get pods/proxy.',
  ],
  options: {
    port: { value: 'PORT', help: 'where the page is served (default: any free port)' },
    open: { help: "open it in this machine's browser" },
  },
  runsOn: true,
  run: ([name], flags, common, world) =>
    inCluster(flags, common, world, async (cluster) => {
      const source = new ClusterSource(cluster, await pairMeant(cluster, name));
      const port = portIn(flags['port']);
      const server = await ConsoleServer.listen(await source.read(), port).catch((error: Error) => {
        throw new CommandError(`cannot serve the page on 127.0.0.1:${port}: ${error.message}`);
      });
      world.stdout.line(server.url);
      if (flags['open'] === true) openInBrowser(server.url, (line) => world.stderr.line(line));
      while (!world.stop.aborted) {
        // It ends with the wait.
        await delay(READ_EVERY_MS, undefined, { signal: world.stop }).catch(() => {});
        if (!world.stop.aborted) server.show(await source.read());
      }
      await server.close();
    }),
};

function portIn(text: string | boolean | undefined): number {
  const port = Number(text ?? 0);
  if (!Number.isInteger(port) || port < 0 || port > 65_535)
    throw new UsageError(`--port ${String(text)}: not a port`);
  return port;
}

function openInBrowser(url: string, say: (line: string) => void): void {
  const program = platform() === 'darwin' ? 'open' : 'xdg-open';
  const child = spawn(program, [url], { stdio: 'ignore', detached: true });
  child.on('error', () => say(`no ${program} here: open the address yourself`));
  child.unref();
}
