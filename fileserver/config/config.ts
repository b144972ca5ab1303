/**
 * The configuration file of server and sentinel: its schema, its defaults, and errors as sentences.
 *
 * One file serves both processes of a server. On Kubernetes it comes from a ConfigMap and is the same for every pod of that
 * server; main.ts adds what differs from run to run (the pod's UID).
 */
import { availableParallelism } from 'node:os';
import { z } from 'zod';
import { ClientNetworks } from '../exports/client-networks.ts';
import { parseExportDirectory } from '../exports/export-directory.ts';

const serverName = z
  .string()
  .regex(/^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$/, 'must be a DNS label: lower-case letters, digits and "-"');
const absolutePath = z.string().regex(/^\//, 'must be an absolute path');
const dnsName = z
  .string()
  .regex(
    /^[a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?$/,
    'must be a DNS name: lower-case letters, digits, "-" and "."',
  );
const port = z.int().min(1).max(65_535);
/** 0 lets the kernel choose, which only makes sense where somebody asks for the result: tests and the demo. */
const anyPort = z.int().min(0).max(65_535);
/** The kernel's socket addresses hold 107 bytes of path; the longest name in it is "/sentinel.sock". */
const runDir = absolutePath.max(90, 'must be at most 90 characters long, for the Unix sockets in it');

const volume = z.strictObject({
  name: serverName,
  path: absolutePath,
  writeThrough: z.boolean().optional(),
  /** It moves from node to node, and is there when it is mounted at `path` (transfer mode Reattach). */
  reattached: z.boolean().optional(),
  /** Files that are on it before it is made a volume are kept and served. */
  adopts: z.boolean().optional(),
});

const exported = z.strictObject({
  path: absolutePath,
  volume: z.string(),
  directory: z.string().optional(),
  clients: z.array(z.string().min(1)).min(1).default(['*']),
  ports: z.enum(['Reserved', 'Any']).optional(),
  access: z.enum(['ReadWrite', 'ReadOnly']).default('ReadWrite'),
  squash: z.enum(['None', 'Root', 'All']).default('Root'),
  anonymousUid: z.int().min(0).max(0xfffffffe).default(65_534),
  anonymousGid: z.int().min(0).max(0xfffffffe).default(65_534),
});

const diskSet = z.strictObject({
  volumes: z.array(volume).min(1),
  /** Absent with `shares`. */
  exports: z.array(exported).optional(),
});

/** Exports are those of FilerShares, which both servers watch. Namespace and API are those of witness.kind kubernetes. */
const shares = z.strictObject({
  /** Name of the FilerPair. */
  pair: z.string().min(1),
  /** Names of the Services by which clients find the servers, by server: for the statuses of the shares. */
  serviceNames: z.record(serverName, z.string().min(1)).default({}),
});

const witness = z.discriminatedUnion('kind', [
  z.strictObject({ kind: z.literal('embedded'), directory: absolutePath }),
  z.strictObject({
    kind: z.literal('kubernetes'),
    namespace: z.string().min(1),
    /** Name of the Lease of each disk set, by home. */
    leases: z.record(serverName, z.string().min(1)),
    /** The EndpointSlice of `<partner><suffix>`: this server's pod behind the partner's failover name. */
    failoverEndpointSlice: z.string().min(1).optional(),
    /** Instead of the pod's service account: for a server that runs outside the cluster. */
    kubeconfig: absolutePath.optional(),
  }),
]);

const timing = z.strictObject({
  leaseMs: z.int().min(200).max(600_000).default(2000),
  guardMs: z.int().min(50).max(600_000).default(500),
  heartbeatMs: z.int().min(10).max(60_000).default(200),
});

const tls = z.strictObject({
  /** Holds tls.crt, tls.key and ca.crt, as Kubernetes and cert-manager lay out their Secrets. */
  directory: absolutePath,
  /** The same of another issuer, while its files are there. */
  fallbackDirectory: absolutePath.optional(),
  /** DNS names in this server's certificate and in its partner's. */
  name: dnsName,
  partnerName: dnsName,
});

/** Of two, one serves on while a read from a slow disk holds up the other; more than four were never busy. */
const connectionThreads = Math.min(4, Math.max(2, availableParallelism()));

const threads = z.strictObject({
  /** Threads that hold connections and read, for both disk sets together. */
  connections: z.int().min(1).max(64).default(connectionThreads),
  /** Threads that change volumes, for each disk set; there are never more than volumes. */
  volumes: z.int().min(1).max(64).default(4),
  /** Whether one that has answered a lone call may look for the next one for a moment instead of sleeping (rpc/alertness.ts). */
  stayAwake: z.boolean().default(true),
});

/** Actions that need no administrator; see pair/transfer-policy.ts. */
const policy = z.strictObject({
  takeover: z.enum(['Automatic', 'Manual']).default('Automatic'),
  giveback: z
    .strictObject({
      mode: z.enum(['Automatic', 'Manual']).default('Manual'),
      afterMs: z.int().min(0).default(60_000),
      retries: z.int().min(0).max(100).default(2),
      takeoversMax: z.int().min(1).max(16).default(3),
      windowMs: z.int().min(0).default(3_600_000),
    })
    .prefault({}),
});

const schema = z
  .strictObject({
    pair: serverName,
    server: serverName,
    partner: serverName,
    /** Names the place where this server runs, in its incarnations. Only one process at a time may run there. */
    incarnation: z
      .string()
      .regex(/^[A-Za-z0-9][A-Za-z0-9._:-]*$/, 'may hold letters, digits and "._:-" only')
      .max(100)
      .optional(),
    listen: z
      .strictObject({
        host: z.string().min(1).default('0.0.0.0'),
        primary: anyPort.default(2049),
        secondary: anyPort.default(2050),
        interconnect: anyPort.default(7420),
        metrics: anyPort.default(9090),
        /** Readers of /status, /metrics and /check on the metrics port must show what this file holds. Absent: everybody may read. */
        tokenFile: absolutePath.optional(),
      })
      .prefault({}),
    partnerAddress: z.strictObject({ host: z.string().min(1), interconnect: port.default(7420) }),
    runDir,
    /** The certificates by which the servers recognize each other (interconnect/credentials.ts). */
    tls,
    /**
     * Holds the keys that sign file handles on volumes that are directories of a larger file system: `current`, and at times `next`
     * and `previous`, 32 bytes each, the same for both servers. Without it such a volume has its key on itself.
     */
    handleKeysDirectory: absolutePath.optional(),
    timing: timing.prefault({}),
    policy: policy.prefault({}),
    witness,
    diskSets: z.record(serverName, diskSet),
    shares: shares.optional(),
    threads: threads.prefault({}),
    /**
     * A volume whose disk has not answered a call for so long is given up: its disk set is fenced with fault
     * VolumeStalled, and the partner is told. Ms; 0: never.
     */
    volumeStalledMs: z.int().min(0).max(3_600_000).default(30_000),
    /**
     * How long the owner of a disk set waits for volumes that move from node to node, before it gives the disk set to its
     * partner. Only the time counts in which that could serve it. Ms.
     */
    attachPatienceMs: z.int().min(0).max(86_400_000).default(60_000),
    /**
     * Whose word counts on the supplementary groups of a user: that of the client (AUTH_SYS carries 16 at most), or that of the
     * name services of the machine or container that this server runs in.
     */
    groups: z.enum(['Client', 'Server']).default('Client'),
    /** Ms that a planned stop may take before the process ends anyway; less than the pod's grace period. */
    stopMs: z.int().min(0).default(8000),
    log: z
      .strictObject({
        level: z.enum(['error', 'warn', 'info', 'debug']).default('info'),
        format: z.enum(['json', 'text']).default('json'),
      })
      .prefault({}),
  })
  .check((context) => {
    for (const [path, message] of contradictions(context.value)) {
      context.issues.push({ code: 'custom', path: [...path], message, input: context.value });
    }
  });

export type Config = z.infer<typeof schema>;

type Contradiction = readonly [path: readonly (string | number)[], message: string];

/** Checks that no single field allows: the fields must fit each other. */
function contradictions(config: z.infer<typeof schema>): Contradiction[] {
  const found: Contradiction[] = [];
  const { server, partner, timing: times, listen } = config;
  if (server === partner) found.push([['partner'], `is "${partner}", like server: a pair is two servers`]);
  if (times.leaseMs < 3 * times.heartbeatMs) {
    const message = `is ${times.leaseMs}, and must be at least three heartbeats (3 x ${times.heartbeatMs})`;
    found.push([['timing', 'leaseMs'], message]);
  }
  const guardMsMin = Math.ceil(times.leaseMs / 20);
  if (times.guardMs < guardMsMin) {
    const message = `is ${times.guardMs}, and must be at least a twentieth of leaseMs (${guardMsMin}): clocks drift`;
    found.push([['timing', 'guardMs'], message]);
  }
  const ports = [listen.primary, listen.secondary, listen.interconnect, listen.metrics].filter(
    (one) => one > 0,
  );
  if (new Set(ports).size < ports.length) found.push([['listen'], 'uses one port twice']);
  for (const name of Object.keys(config.diskSets)) {
    if (name === server || name === partner) continue;
    found.push([['diskSets', name], `is the disk set of neither ${server} nor ${partner}`]);
  }
  if (config.shares !== undefined && config.witness.kind !== 'kubernetes')
    found.push([['shares'], 'needs witness.kind "kubernetes": FilerShares are in its namespace']);
  for (const name of [server, partner]) found.push(...diskSetContradictions(config, name));
  return found;
}

function diskSetContradictions(config: z.infer<typeof schema>, name: string): Contradiction[] {
  const found: Contradiction[] = [];
  const { witness: where } = config;
  if (where.kind === 'kubernetes' && where.leases[name] === undefined) {
    found.push([['witness', 'leases', name], 'is missing: each disk set has a Lease']);
  }
  const set = config.diskSets[name];
  if (set === undefined)
    return [...found, [['diskSets', name], 'is missing: both disk sets have to be described']];
  const volumes = set.volumes.map((one) => one.name);
  const duplicate = volumes.find((one, index) => volumes.indexOf(one) !== index);
  if (duplicate !== undefined) found.push([['diskSets', name, 'volumes'], `names "${duplicate}" twice`]);
  if (config.shares !== undefined) {
    if (set.exports === undefined) return found;
    const message = 'must be absent, as there is `shares`: exports are those of FilerShares then';
    return [...found, [['diskSets', name, 'exports'], message]];
  }
  if (set.exports === undefined)
    return [...found, [['diskSets', name, 'exports'], 'is missing, and there is no `shares` either']];
  for (const [index, one] of set.exports.entries()) {
    const at = ['diskSets', name, 'exports', index] as const;
    for (const [field, message] of exportContradictions(one, name, set.exports, volumes))
      found.push([[...at, field], message]);
  }
  return found;
}

/** Checks of an export that need no volume; whether its directory is there shows when the volume is opened. */
function exportContradictions(
  one: z.infer<typeof exported>,
  home: string,
  all: readonly z.infer<typeof exported>[],
  volumes: readonly string[],
): [field: string, message: string][] {
  const found: [string, string][] = [];
  if (!volumes.includes(one.volume)) {
    const known = volumes.map((name) => `"${name}"`).join(', ');
    found.push(['volume', `is "${one.volume}", but ${home} has only ${known}`]);
  }
  if (all.find(({ path }) => path === one.path) !== one) {
    found.push(['path', `is "${one.path}", like another export's`]);
  }
  try {
    parseExportDirectory(one);
  } catch (error) {
    found.push([
      one.directory === undefined ? 'path' : 'directory',
      `is refused: ${(error as Error).message}`,
    ]);
  }
  try {
    new ClientNetworks(one.clients);
  } catch (error) {
    found.push(['clients', `is refused: ${(error as Error).message}`]);
  }
  return found;
}

/** The first thing that is wrong with a configuration, in a sentence. */
export class ConfigError extends Error {
  override readonly name = 'ConfigError';
}

/** Reads a configuration; throws ConfigError. `source` names the file in messages. */
export function parseConfig(text: string, source: string): Config {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (error) {
    throw new ConfigError(`${source} is not JSON: ${(error as Error).message}.`);
  }
  const result = schema.safeParse(value);
  if (result.success) return result.data;
  throw new ConfigError(describe(source, result.error.issues, value));
}

function describe(source: string, issues: readonly z.core.$ZodIssue[], value: unknown): string {
  const issue = issues[0]!;
  const field = issue.path.map(String).join('.');
  const more = issues.length === 1 ? '' : ` (and ${issues.length - 1} more to mend)`;
  if (issue.code === 'unrecognized_keys') {
    const keys = issue.keys.map((key) => [...issue.path, key].join('.')).join(', ');
    return `${source}: ${keys} is not known here: misspelt?${more}`;
  }
  if (field === '') return `${source}: ${lowerFirst(issue.message)}${more}.`;
  if (at(value, issue.path) === undefined && issue.code !== 'custom')
    return `${source}: ${field} is missing${more}.`;
  return `${source}: ${field} ${reason(issue)}${more}.`;
}

function reason(issue: z.core.$ZodIssue): string {
  switch (issue.code) {
    case 'invalid_type':
      return `must be ${issue.expected === 'int' ? 'a whole number' : `of type ${issue.expected}`}`;
    case 'invalid_value':
      return `must be one of ${issue.values.map((one) => `"${String(one)}"`).join(', ')}`;
    case 'invalid_union':
      return 'must be "embedded" or "kubernetes"';
    case 'too_small':
      return `must be at least ${issue.minimum}${issue.origin === 'array' ? ' item(s) long' : ''}`;
    case 'too_big':
      return issue.message.startsWith('must') ? issue.message : `must be at most ${issue.maximum}`;
    default:
      return issue.message;
  }
}

function at(value: unknown, path: readonly PropertyKey[]): unknown {
  return path.reduce<unknown>(
    (inner, key) =>
      typeof inner === 'object' && inner !== null ? (inner as Record<PropertyKey, unknown>)[key] : undefined,
    value,
  );
}

function lowerFirst(text: string): string {
  return text.charAt(0).toLowerCase() + text.slice(1);
}
