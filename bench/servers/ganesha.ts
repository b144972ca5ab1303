/** nfs-ganesha as Debian packages it, with its file system layer VFS: the server to compare with. */

import { execFileSync } from 'node:child_process';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { freePorts } from '../../testing/free-ports.ts';
import { startProcess } from './child-process.ts';
import type { ServerUnderTest } from './server-under-test.ts';
import { waitForPort } from './server-under-test.ts';

const HOST = '127.0.0.1';
const RPCBIND_PORT = 111;
const EXPORT = '/bench';
const START_TIMEOUT_MS = 30_000;

/** Its version, or null where it is not installed. */
export function ganeshaVersion(): string | null {
  try {
    const output = execFileSync('ganesha.nfsd', ['-v'], {
      encoding: 'utf8',
      stdio: ['ignore', 'pipe', 'ignore'],
    });
    return /NFS-Ganesha Release = V?([\d.]+)/.exec(output)?.[1] ?? 'unknown';
  } catch {
    return null;
  }
}

/** `directory` gets its configuration and log, and its data unless that lies elsewhere. */
export async function startGanesha(
  directory: string,
  version: string,
  data = join(directory, 'data'),
): Promise<ServerUnderTest> {
  mkdirSync(data, { recursive: true });
  // It does not start without a portmapper, though nobody asks it: only one that we started is stopped again.
  const rpcbind = await startRpcbindUnlessRunning(join(directory, 'rpcbind.log'));
  const [port, mountPort] = (await freePorts(2)) as [number, number];
  const file = join(directory, 'ganesha.conf');
  writeFileSync(file, configuration(data, port, mountPort));
  const args = ['-F', '-f', file, '-L', join(directory, 'ganesha.log'), '-p', join(directory, 'ganesha.pid')];
  const server = await startProcess('ganesha.nfsd', args, join(directory, 'output.log'));
  const stop = async () => {
    await server.stop();
    await rpcbind?.stop();
  };
  try {
    await waitForPort(HOST, port, START_TIMEOUT_MS, server.gone);
    await waitForPort(HOST, mountPort, START_TIMEOUT_MS, server.gone);
  } catch (error) {
    await stop();
    throw error;
  }
  const title = `nfs-ganesha ${version}`;
  return { name: 'ganesha', title, host: HOST, port, mountPort, exportPath: EXPORT, pid: server.pid, stop };
}

async function startRpcbindUnlessRunning(logFile: string): Promise<{ stop(): Promise<void> } | null> {
  try {
    await waitForPort(HOST, RPCBIND_PORT, 0, () => null);
    return null;
  } catch {
    const rpcbind = await startProcess('rpcbind', ['-f'], logFile);
    await waitForPort(HOST, RPCBIND_PORT, START_TIMEOUT_MS, rpcbind.gone);
    return rpcbind;
  }
}

function configuration(data: string, port: number, mountPort: number): string {
  return `
NFS_CORE_PARAM {
  NFS_Port = ${port};
  MNT_Port = ${mountPort};
  Bind_addr = ${HOST};
  Protocols = 3;
  Enable_NLM = false;
  Enable_RQUOTA = false;
  mount_path_pseudo = true;
}
EXPORT {
  Export_Id = 1;
  Path = ${data};
  Pseudo = ${EXPORT};
  Access_Type = RW;
  Squash = No_Root_Squash;
  Protocols = 3;
  Transports = TCP;
  SecType = sys;
  FSAL { Name = VFS; }
}
LOG { Default_Log_Level = WARN; }
`;
}
