/**
 * make demo: a pair of servers on one machine, a client that writes without pause, the death of one server, takeover, giveback,
 * and the proof that nothing was lost and nothing done twice.
 */
import { spawn } from 'node:child_process';
import { platform } from 'node:os';

const WHAT_IS_NEEDED = `The demo starts the real file servers, and those need Linux: they open files by kernel file handles and are
guarded by kernel timers. This is ${platform()}. A Linux machine, a virtual one, or a container will do:

  docker run --rm -it -v "$PWD":/filerpair -w /filerpair node:24 sh -c "npm ci --ignore-scripts && make demo"
`;

if (platform() !== 'linux') {
  process.stderr.write(WHAT_IS_NEEDED);
  process.exitCode = 2;
} else {
  // Only now: what it imports loads the system's C library.
  const { runDemo } = await import('./run.ts');
  // Nobody reads any more (make demo | head): the exit handlers end what was started.
  process.stdout.on('error', () => process.exit(1));
  const colours = process.stdout.isTTY === true && process.env['NO_COLOR'] === undefined;
  process.exitCode = await runDemo({
    colours,
    print: (text) => process.stdout.write(text),
    outFile: new URL('../out/demo.json', import.meta.url).pathname,
    keep: process.argv.includes('--keep'),
    ui: process.argv.includes('--ui') ? { opened: openInBrowser } : null,
    onSignal: (stop) => {
      for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.once(signal, stop);
    },
  });
}

/** The address was printed, for machines that have no browser. */
function openInBrowser(url: string): void {
  const child = spawn('xdg-open', [url], { stdio: 'ignore', detached: true });
  child.on('error', () => {});
  child.unref();
}
