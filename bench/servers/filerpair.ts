/**
 * Our own file server, as a user starts it: configuration file, embedded witness, durable ownership record and journal. Its
 * partner is declared and absent.
 */

import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { certificateFiles, writeCertificates } from '../../fileserver/interconnect/certificates.fixture.ts';
import { FAILPOINT_ARGUMENTS, failpointVariable } from '../../fileserver/system/failpoints.fixture.ts';
import type { Failpoints } from '../../fileserver/system/failpoints.ts';
import { freePorts } from '../../testing/free-ports.ts';
import { startProcess } from './child-process.ts';
import type { ServerUnderTest } from './server-under-test.ts';
import { waitForPort } from './server-under-test.ts';

const HOST = '127.0.0.1';
const EXPORT = '/bench';
const START_TIMEOUT_MS = 30_000;
const ROOT = join(import.meta.dirname, '../..');
/** As images/fileserver.Dockerfile sets it. */
const IMAGE_ENVIRONMENT = { MALLOC_ARENA_MAX: '2' };

export interface FilerpairOptions {
  /** Arguments for Node before the program: a profiler's, for example. */
  nodeArguments: string[];
  /** The compiled server (`make build`), as images hold it, instead of the sources. */
  built?: boolean;
  /** Root directory of another checkout, with its packages installed, whose server it is. */
  checkout?: string;
  /** Where its volume lies, if not in its directory. */
  data?: string;
  /** Fields of its configuration that are not as usual. */
  settings?: object;
  failpoints?: Failpoints;
  /** It listens at all addresses of the machine, and its clients are of this network. Default: 127.0.0.1 alone. */
  network?: string;
}

/** `directory` gets its volumes, configuration, witness and log. */
export async function startFilerpair(directory: string, options: FilerpairOptions): Promise<ServerUnderTest> {
  const ports = (await freePorts(5)) as [number, number, number, number, number];
  const file = join(directory, 'config.json');
  for (const name of ['data', 'partner-data', 'run', 'witness'])
    mkdirSync(join(directory, name), { recursive: true });
  await writeCertificates(directory);
  writeFileSync(
    file,
    JSON.stringify(
      {
        ...configuration(directory, options, ports),
        ...options.settings,
      },
      null,
      2,
    ),
  );
  const built = options.built === true;
  const main = join(options.checkout ?? ROOT, built ? 'dist/fileserver/main.js' : 'fileserver/main.ts');
  const on = options.failpoints;
  const preload = on === undefined ? [] : FAILPOINT_ARGUMENTS;
  const args = [...options.nodeArguments, ...preload, main, '--config', file];
  const environment = {
    ...(built ? IMAGE_ENVIRONMENT : {}),
    ...(on === undefined ? {} : failpointVariable(on)),
  };
  const server = await startProcess(process.execPath, args, join(directory, 'output.log'), environment);
  const port = ports[0];
  try {
    await waitForPort(HOST, port, START_TIMEOUT_MS, server.gone);
  } catch (error) {
    await server.stop();
    throw error;
  }
  const { pid, stop } = server;
  return {
    ...(options.checkout === undefined
      ? { name: 'filerpair', title: 'FilerPair' }
      : { name: 'other revision', title: `FilerPair in ${options.checkout}` }),
    host: HOST,
    port,
    mountPort: port,
    exportPath: EXPORT,
    pid,
    stop,
  };
}

function configuration(
  directory: string,
  { data = join(directory, 'data'), network }: FilerpairOptions,
  ports: [number, number, number, number, number],
): object {
  const [primary, secondary, interconnect, metrics, partnerInterconnect] = ports;
  const diskSet = (path: string) => ({
    volumes: [{ name: 'data', path }],
    exports: [
      {
        path: EXPORT,
        volume: 'data',
        clients: [network ?? '127.0.0.1/32'],
        access: 'ReadWrite',
        squash: 'None',
      },
    ],
  });
  return {
    pair: 'bench',
    server: 'filer-a',
    partner: 'filer-b',
    listen: { host: network === undefined ? HOST : '0.0.0.0', primary, secondary, interconnect, metrics },
    partnerAddress: { host: HOST, interconnect: partnerInterconnect },
    runDir: join(directory, 'run'),
    tls: certificateFiles(directory, 'filer-a', 'filer-b'),
    witness: { kind: 'embedded', directory: join(directory, 'witness') },
    diskSets: {
      'filer-a': diskSet(data),
      'filer-b': diskSet(join(directory, 'partner-data')),
    },
    log: { level: 'warn', format: 'text' },
  };
}
