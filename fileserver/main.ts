/** The file server's process: `main.ts --config FILE`. The only place of the server that reads arguments and environment. */
import './linux-only.ts';
import { randomBytes } from 'node:crypto';
import { mkdirSync, readFileSync, writeFileSync, writeSync } from 'node:fs';
import { isIP } from 'node:net';
import { join } from 'node:path';
import { KubernetesClient } from '../kubernetes/client.ts';
import { Connection, fromKubeconfig, type LoadKubeConfig } from '../kubernetes/connection.ts';
import { type Incarnation, incarnationOf, runOn } from '../pair/incarnation.ts';
import { Agent } from './agent/agent.ts';
import { type FailoverGate, noGate } from './agent/failover-gate.ts';
import { KubernetesFailoverGate } from './agent/kubernetes-failover-gate.ts';
import { type Config, ConfigError, parseConfig } from './config/config.ts';
import { ConfigWatch } from './config/config-watch.ts';
import { type ControlSurface, listenOnPort, listenOnSocket } from './control/http-server.ts';
import { TokenFile } from './control/token-file.ts';
import { CredentialStore } from './interconnect/credentials.ts';
import { createLog, type Log, type LogLevel } from './logging/log.ts';
import { lockRunDirectory } from './run-lock.ts';
import { SentinelLink } from './sentinel/sentinel-link.ts';
import { allocateLeaseTable, LeaseTable } from './serving-lease/lease-table.ts';
import { PairShares } from './shares/pair-shares.ts';
import { CAP_SYS_RESOURCE, dropCapability } from './system/capabilities.ts';
import { whyNoDeadMansSwitch } from './system/dead-man-switch.ts';
import { endProcess } from './system/end-process.ts';
import { preferThisThread } from './system/thread-priority.ts';
import { thisMachine } from './this-machine.ts';
import { EmbeddedWitness } from './witness/embedded.ts';
import { KubernetesWitness } from './witness/kubernetes.ts';
import { podAccount, SERVICE_ACCOUNT_DIRECTORY } from './witness/pod-account.ts';
import type { Witness } from './witness/witness.ts';

// Environment, all optional:
//   POD_UID              names the place where this server runs in its incarnations (config: incarnation)
//   POD_IP               address to put behind the partner's failover name, with the Kubernetes witness
//   NODE_NAME            node of that address, for Services that lead only to pods of the node that got the connection
//   TERMINATION_LOG      file in which this run leaves its incarnation, for the operator's proof of death
//   KUBERNETES_SERVICE_HOST, KUBERNETES_SERVICE_PORT  the API, with the Kubernetes witness
//   FILERPAIR_LOG_LEVEL  error | warn | info | debug (config: log.level)

/**
 * Threads of libuv's pool, which all threads of the process share: flushes of all volumes wait there for their disks
 * (13 of each volume at most), and reads that are not in memory. With Node's 4, a few flushes on a slow disk would hold
 * up the other disk set's journal, and the agent's look-ups of names and credentials with it. An idle one costs nothing
 * but its stack, of which a page or two is ever used.
 */
const POOL_THREADS = '64';

interface Environment {
  readonly podUid: string | undefined;
  readonly podIp: string | undefined;
  readonly nodeName: string | undefined;
  readonly terminationLog: string | undefined;
  readonly apiHost: string | undefined;
  readonly apiPort: string | undefined;
  readonly logLevel: LogLevel | undefined;
}

function readEnvironment(env: NodeJS.ProcessEnv): Environment {
  const level = env['FILERPAIR_LOG_LEVEL'];
  if (level !== undefined && !['error', 'warn', 'info', 'debug'].includes(level)) {
    throw new ConfigError(`FILERPAIR_LOG_LEVEL is "${level}", and must be error, warn, info or debug.`);
  }
  const podIp = env['POD_IP'];
  if (podIp !== undefined && isIP(podIp) === 0) {
    throw new ConfigError(`POD_IP is "${podIp}", and must be an IP address.`);
  }
  return {
    podUid: env['POD_UID'],
    podIp,
    nodeName: env['NODE_NAME'],
    terminationLog: env['TERMINATION_LOG'],
    apiHost: env['KUBERNETES_SERVICE_HOST'],
    apiPort: env['KUBERNETES_SERVICE_PORT'],
    logLevel: level as LogLevel | undefined,
  };
}

/**
 * A call to the witness is given up after this long. A solo holder renews every third of the lease: a slow answer
 * should still count, and after none at all there should be time to look and try once more.
 */
function witnessCallMs(config: Config): number {
  return Math.max(100, Math.round(config.timing.leaseMs * 0.4));
}

async function main(args: readonly string[], env: NodeJS.ProcessEnv): Promise<void> {
  const [flag, file] = args;
  if (flag !== '--config' || file === undefined) throw new ConfigError('Usage: main.ts --config FILE');
  const text = readFileSync(file, 'utf8');
  const config = parseConfig(text, file);
  const environment = readEnvironment(env);
  // Before the pool and other threads are started, which inherit it. A server that is not in a container has all of them, and
  // none of its calls is to have what a file system reserves for root, or to pass a quota.
  dropCapability(CAP_SYS_RESOURCE);
  // Before the pool is started, which is when libuv reads it.
  env['UV_THREADPOOL_SIZE'] ??= POOL_THREADS;
  const unguarded = whyNoDeadMansSwitch(process.pid);
  if (unguarded !== null) throw new ConfigError(unguarded);
  mkdirSync(config.runDir, { recursive: true });
  const runPlace = lockRunDirectory(config.runDir);

  const place = config.incarnation ?? environment.podUid ?? runPlace;
  const run = runOn(`${Date.now().toString(36)}-${randomBytes(2).toString('hex')}`, thisMachine());
  const me = incarnationOf(config.server, place, run);
  const log = createLog(
    { ...config.log, level: environment.logLevel ?? config.log.level },
    { server: config.server },
  );
  const credentials = new CredentialStore(config.tls, log);
  log.info(`Starting as ${me}, process ${process.pid}.`);
  leaveName(me, environment.terminationLog, log);

  const agent = new Agent({
    config,
    me,
    credentials,
    leases: new LeaseTable(allocateLeaseTable()),
    ...openWorld(config, environment, log),
    sentinel: new SentinelLink({ path: join(config.runDir, 'sentinel.sock'), me, log }),
    log,
    end: endProcess,
  });
  if (!preferThisThread()) log.debug('No CAP_SYS_NICE: on a busy machine this process may be late.');
  endWhenTold(agent, log);
  // A resource that cannot be had ends the process before it owns anything.
  const started = Promise.withResolvers<void>();
  await serveControl(config, agent, started.promise, log);
  await agent.start();
  started.resolve();
  credentials.start();
  new ConfigWatch({ file, text, changed: (now) => agent.configurationChanged(now, file) }).start();
}

interface World {
  readonly witness: Witness;
  readonly gate: FailoverGate;
  readonly shares: PairShares | null;
}

function accountOf({ apiHost: host, apiPort: port }: Environment): LoadKubeConfig {
  if (host === undefined || port === undefined) {
    throw new ConfigError(
      'witness.kind is "kubernetes", but KUBERNETES_SERVICE_HOST and KUBERNETES_SERVICE_PORT are not set: ' +
        'run in a pod, or give witness.kubeconfig.',
    );
  }
  return podAccount({ host, port, directory: SERVICE_ACCOUNT_DIRECTORY });
}

/** The adapters for where this server runs: one machine, or Kubernetes. */
function openWorld(config: Config, environment: Environment, log: Log): World {
  const { witness, timing } = config;
  const callMs = witnessCallMs(config);
  if (witness.kind === 'embedded') {
    return {
      witness: new EmbeddedWitness({ directory: witness.directory, callMs, log }),
      gate: noGate,
      shares: null,
    };
  }
  const { namespace, leases, failoverEndpointSlice: slice, kubeconfig } = witness;
  if (slice !== undefined && environment.podIp === undefined) {
    throw new ConfigError(
      `witness.failoverEndpointSlice is "${slice}", so POD_IP must be set: it goes in there.`,
    );
  }
  const client = new KubernetesClient(
    new Connection(kubeconfig === undefined ? accountOf(environment) : fromKubeconfig(kubeconfig)),
  );
  return {
    witness: new KubernetesWitness({ client, namespace, leases, leaseMs: timing.leaseMs, callMs, log }),
    gate:
      slice === undefined
        ? noGate
        : new KubernetesFailoverGate({
            client,
            namespace,
            name: slice,
            address: environment.podIp!,
            nodeName: environment.nodeName ?? null,
            log,
          }),
    shares: sharesOf(config, client, namespace, log),
  };
}

function sharesOf(
  { shares, diskSets }: Config,
  client: KubernetesClient,
  namespace: string,
  log: Log,
): PairShares | null {
  if (shares === undefined) return null;
  const { pair, serviceNames } = shares;
  const volumes = Object.entries(diskSets).map(
    ([home, set]) => [home, set.volumes.map(({ name }) => name)] as const,
  );
  return new PairShares({ client, namespace, pair, volumes: new Map(volumes), serviceNames, log });
}

/**
 * For the proof that this process has ended: the first line of the container's termination log is the incarnation. Written before
 * anything is claimed, so no run can own something without having left its name.
 */
function leaveName(me: Incarnation, path: string | undefined, log: Log): void {
  if (path === undefined) return;
  try {
    writeFileSync(path, `${me}\n`);
  } catch (error) {
    log.warn(
      `Cannot write ${path}: ${(error as Error).message}. The operator will not be able to prove a death.`,
    );
  }
}

function endWhenTold(agent: Agent, log: Log): void {
  let stopping = false;
  const stop = (signal: NodeJS.Signals): void => {
    if (stopping) return;
    stopping = true;
    log.info(`${signal}: handing over to the partner, then ending.`);
    agent.stop();
  };
  process.on('SIGTERM', stop);
  process.on('SIGINT', stop);
  const die = (error: unknown): void => {
    log.error(`Unexpected: ${error instanceof Error ? error.stack : String(error)}. The process ends.`);
    endProcess(1);
  };
  process.on('uncaughtException', die);
  process.on('unhandledRejection', die);
}

/** Requests to the agent wait until it has `started`. */
async function serveControl(config: Config, agent: Agent, started: Promise<void>, log: Log): Promise<void> {
  const surface: ControlSurface = {
    homes: [config.server, config.partner],
    status: () => agent.status(),
    metrics: () => agent.metricsText(),
    whyNotHealthy: () => agent.whyNotHealthy(),
    whyNotReady: () => agent.whyNotReady(),
    // A giveback is asked of the server that serves its partner's disk set; a takeover of the one that shall rest.
    request: async (kind, home, words) => {
      await started;
      const meant = kind === 'giveback' || words.force ? config.partner : config.server;
      return agent.request(kind, home ?? meant, words);
    },
    check: async (home) => {
      await started;
      return agent.check(home ?? config.partner);
    },
    setMaintenance: async (reason) => {
      await started;
      return agent.setMaintenance(reason);
    },
  };
  await listenOnSocket(join(config.runDir, 'control.sock'), surface);
  const { host, metrics, tokenFile } = config.listen;
  const token = tokenFile === undefined ? null : new TokenFile(tokenFile);
  const port = await listenOnPort(host, metrics, surface, token);
  agent.setMetricsPort(port);
  log.info(`Status and metrics on port ${port}, control on ${join(config.runDir, 'control.sock')}.`);
}

main(process.argv.slice(2), process.env).catch((error: NodeJS.ErrnoException) => {
  const known = error instanceof ConfigError || error.syscall !== undefined;
  writeSync(2, `filerpair server: ${known ? error.message : error.stack}\n`);
  endProcess(known ? 2 : 1);
});
