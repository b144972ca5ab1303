/**
 * What a server holds in memory when its clients have looked at many files, beside nfs-ganesha: a server keeps what it knows of
 * files that are in use, and home directories have hundreds of thousands.
 */

import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import * as nfs3 from '../../protocol/nfs3.ts';
import { CallConnection } from '../generator/call-connection.ts';
import { mountExport, rootCredential } from '../generator/stage.ts';
import { startFilerpair } from '../servers/filerpair.ts';
import { ganeshaVersion, startGanesha } from '../servers/ganesha.ts';
import { memoryOf } from '../servers/process-figures.ts';
import type { ServerUnderTest } from '../servers/server-under-test.ts';

//   node bench/memory/main.ts [--files 200000] [--built]
//
// Each file is looked up once by name, by eight clients at once, in directories of a thousand.

const { values } = parseArgs({
  options: { files: { type: 'string', default: '200000' }, built: { type: 'boolean', default: false } },
});
const FILES = Number(values.files);
const IN_DIRECTORY = 1000;
const CLIENTS = 8;
const directoryName = (i: number): string => `directory-${Math.floor(i / IN_DIRECTORY)}`;
const fileName = (i: number): string => `file-${i}`;

function makeFiles(data: string): void {
  for (let i = 0; i < FILES; i++) {
    if (i % IN_DIRECTORY === 0) mkdirSync(join(data, directoryName(i)));
    writeFileSync(join(data, directoryName(i), fileName(i)), '');
  }
}

async function lookAtAll(server: ServerUnderTest): Promise<void> {
  const mounting = await CallConnection.open(server.host, server.mountPort, rootCredential);
  const root = await mountExport(mounting, server.exportPath);
  mounting.close();
  const clients = Array.from({ length: CLIENTS }, async (_, client) => {
    const connection = await CallConnection.open(server.host, server.port, rootCredential);
    for (let first = client * IN_DIRECTORY; first < FILES; first += CLIENTS * IN_DIRECTORY) {
      const dir = await lookup(connection, root, directoryName(first));
      const end = Math.min(FILES, first + IN_DIRECTORY);
      for (let i = first; i < end; i++) await lookup(connection, dir, fileName(i));
    }
    connection.close();
  });
  await Promise.all(clients);
}

const {
  proc,
  args: { encode: encodeArgs },
  res: { decode: decodeRes },
} = nfs3.nfs3Procedures.LOOKUP;

async function lookup(connection: CallConnection, dir: nfs3.nfs_fh3, name: string): Promise<nfs3.nfs_fh3> {
  const args = { what: { dir, name: new TextEncoder().encode(name) } };
  const found = await connection.call(nfs3.NFS_PROGRAM, nfs3.NFS_V3, proc, encodeArgs, args, decodeRes);
  if (found.status !== nfs3.NFS3_OK) throw new Error(`LOOKUP of ${name}: ${nfs3.nfsstat3Name(found.status)}`);
  return found.object.slice();
}

async function measure(server: ServerUnderTest): Promise<void> {
  try {
    const idle = memoryOf(server.pid).resident;
    const begun = performance.now();
    await lookAtAll(server);
    const seconds = (performance.now() - begun) / 1000;
    const { resident, peak } = memoryOf(server.pid);
    const cells = [server.title, ...[idle, resident, peak].map((mib) => mib.toFixed(0)), seconds.toFixed(1)];
    console.log(`| ${cells.join(' | ')} |`);
  } finally {
    await server.stop();
  }
}

const CACHE = join(import.meta.dirname, '../../.cache');
mkdirSync(CACHE, { recursive: true });
const directory = mkdtempSync(join(CACHE, 'bench-'));
try {
  const ours = join(directory, 'filerpair');
  const data = join(directory, 'filerpair-data');
  mkdirSync(ours);
  mkdirSync(data);
  console.log(`${FILES} files, looked up one by one; MiB resident`);
  console.log('| server | idle | afterwards | at most | s |');
  console.log('| --- | ---: | ---: | ---: | ---: |');
  const filerpair = await startFilerpair(ours, { nodeArguments: [], built: values.built, data });
  makeFiles(data);
  await measure(filerpair);
  const version = ganeshaVersion();
  if (version === null) console.log('nfs-ganesha is not installed here, so FilerPair is measured alone.');
  else {
    const theirs = join(directory, 'ganesha');
    mkdirSync(theirs);
    const ganesha = await startGanesha(theirs, version);
    makeFiles(join(theirs, 'data'));
    await measure(ganesha);
  }
} finally {
  rmSync(directory, { recursive: true, force: true });
}
