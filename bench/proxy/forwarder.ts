/** The plain forwarder in C that the proxy is measured beside: compiled where it runs. */
import { execFile } from 'node:child_process';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { startProcess } from '../servers/child-process.ts';
import { type ServerUnderTest, waitForPort } from '../servers/server-under-test.ts';

const SOURCE = join(import.meta.dirname, 'forwarder.c');
const START_TIMEOUT_MS = 10_000;

/** In front of the server, on this port. Needs a C compiler (`cc`). */
export async function startForwarder(
  server: ServerUnderTest,
  port: number,
  directory: string,
): Promise<ServerUnderTest> {
  const program = join(directory, 'forwarder');
  await promisify(execFile)('cc', ['-O2', '-pthread', '-o', program, SOURCE]);
  const started = await startProcess(
    program,
    [String(port), String(server.port)],
    join(directory, 'forwarder.log'),
  );
  await waitForPort(server.host, port, START_TIMEOUT_MS, started.gone);
  const { pid, stop } = started;
  return { ...server, name: 'other revision', title: 'the forwarder in C', port, mountPort: port, pid, stop };
}
