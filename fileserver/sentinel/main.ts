/**
 * The sentinel's process: `main.ts --config FILE`, beside the server in a container of its own, so that whatever
 * kills the server leaves it alone. Told to stop, it stays until the server has ended and the partner knows: pods stop
 * all their containers at the same moment.
 */
import { inBackground } from '../system/turns.ts';
import '../linux-only.ts';
import { mkdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { ConfigError, parseConfig } from '../config/config.ts';
import { connectionTiming } from '../interconnect/connection.ts';
import { CredentialStore } from '../interconnect/credentials.ts';
import { createLog } from '../logging/log.ts';
import { preferThisThread } from '../system/thread-priority.ts';
import { Sentinel } from './sentinel.ts';

/** Told to stop, the sentinel tries for this long to tell a partner that it cannot reach. */
const PARTNER_PATIENCE_MS = 3000;

async function main(args: readonly string[]): Promise<void> {
  const [flag, file] = args;
  if (flag !== '--config' || file === undefined) throw new ConfigError('Usage: main.ts --config FILE');
  const config = parseConfig(readFileSync(file, 'utf8'), file);
  // Whichever of the two starts first makes it.
  mkdirSync(config.runDir, { recursive: true });
  const log = createLog(config.log, { server: config.server, process: 'sentinel' });
  const credentials = new CredentialStore(config.tls, log);
  const sentinel = new Sentinel({
    pair: config.pair,
    server: config.server,
    partner: config.partner,
    partnerAddress: { host: config.partnerAddress.host, port: config.partnerAddress.interconnect },
    credentials,
    path: join(config.runDir, 'sentinel.sock'),
    timing: connectionTiming(config.timing),
    log,
  });
  // First of all: the threads that wait for the kernel's word inherit it.
  preferThisThread();
  let stopping = false;
  const stop = (): void => {
    if (stopping) return;
    stopping = true;
    const waits = sentinel.watchedCount > 0 ? `, once the ${config.server} process has ended` : '';
    log.info(`Stopping${waits}.`);
    inBackground(
      sentinel.finished(PARTNER_PATIENCE_MS).then(() => {
        sentinel.stop();
        process.exit(0);
      }),
    );
  };
  process.on('SIGTERM', stop);
  process.on('SIGINT', stop);
  await sentinel.start();
  credentials.start();
}

main(process.argv.slice(2)).catch((error: NodeJS.ErrnoException) => {
  const known = error instanceof ConfigError || error.syscall !== undefined;
  process.stderr.write(`filerpair sentinel: ${known ? error.message : error.stack}\n`);
  process.exit(known ? 2 : 1);
});
