/** The examples, and objects made of them by small changes: what is refused and why, and which changes are. */

import { readdirSync, readFileSync } from 'node:fs';
import { parseAllDocuments } from 'yaml';

export interface AnyObject {
  apiVersion: string;
  kind: string;
  metadata: { name: string; namespace?: string; [member: string]: unknown };
  spec: Record<string, unknown>;
}

const directory = new URL('../examples/', import.meta.url);

/** YAML 1.1, as kubectl reads it. */
const documents = (text: string): AnyObject[] =>
  parseAllDocuments(text, { version: '1.1' }).map((one) => one.toJS() as AnyObject);

export const examples: readonly { readonly file: string; readonly objects: readonly AnyObject[] }[] =
  readdirSync(directory)
    .filter((file) => file.endsWith('.yaml'))
    .map((file) => ({ file, objects: documents(readFileSync(new URL(file, directory), 'utf8')) }));

/** A copy of the object of that kind (and name) in an example. */
export function example(file: string, kind: string, name?: string): AnyObject {
  const found = examples
    .find((one) => one.file === `${file}.yaml`)
    ?.objects.find((one) => one.kind === kind && (name === undefined || one.metadata.name === name));
  if (found === undefined) throw new Error(`no ${kind} ${name ?? ''} in ${file}.yaml`);
  return structuredClone(found);
}

/** Sets what a path such as `spec.servers.0.name` leads to; undefined removes it. */
export function set(object: AnyObject, path: string, value: unknown): AnyObject {
  const parts = path.split('.');
  const last = parts.pop()!;
  let at = object as unknown as Record<string, unknown>;
  for (const part of parts) {
    at[part] ??= {};
    at = at[part] as Record<string, unknown>;
  }
  if (value === undefined) delete at[last];
  else at[last] = value;
  return object;
}

type Changes = Readonly<Record<string, unknown>>;

const changed = (object: AnyObject, changes: Changes): AnyObject => {
  for (const [path, value] of Object.entries(changes)) set(object, path, structuredClone(value));
  return object;
};

export interface Refused {
  readonly title: string;
  readonly object: AnyObject;
  /** What a part of the message says. */
  readonly reason: string;
}

const refused = (
  title: string,
  [file, kind, name]: readonly [file: string, kind: string, name?: string],
  changes: Changes,
  reason: string,
): Refused => ({ title, object: changed(example(file, kind, name), changes), reason });

const minimal = ['minimal', 'FilerPair'] as const;
const full = ['everything', 'FilerPair'] as const;
const share = ['minimal', 'FilerShare'] as const;
const takeover = ['everything', 'FilerPairOperation', 'takeover-a'] as const;
const CLAIM = 'spec.volumes.0.claimTemplate';

export const refusedObjects: readonly Refused[] = [
  refused('one server', minimal, { 'spec.servers': [{ name: 'a' }] }, 'spec.servers'),
  refused(
    'three servers',
    minimal,
    { 'spec.servers': [{ name: 'a' }, { name: 'b' }, { name: 'c' }] },
    'spec.servers',
  ),
  refused(
    'a server’s name twice',
    minimal,
    { 'spec.servers': [{ name: 'a' }, { name: 'a' }] },
    'Duplicate value',
  ),
  refused(
    'a server’s name with a dash',
    minimal,
    { 'spec.servers': [{ name: 'a-b' }, { name: 'b' }] },
    'spec.servers',
  ),
  refused(
    'a long server’s name',
    minimal,
    { 'spec.servers': [{ name: 'abcdefgh' }, { name: 'b' }] },
    'spec.servers',
  ),
  refused('a pair’s name with a dot', minimal, { 'metadata.name': 'nas.one' }, 'no dots'),
  refused('a pair’s name that is too long', minimal, { 'metadata.name': 'n'.repeat(41) }, 'at most 40'),
  refused('no volumes', minimal, { 'spec.volumes': [] }, 'each server needs a volume'),
  refused(
    'a volume twice',
    minimal,
    { 'spec.volumes': [example(...minimal).spec['volumes'], example(...minimal).spec['volumes']].flat() },
    'Duplicate value',
  ),
  refused(
    'a volume without a claim',
    full,
    { 'spec.servers.0.volumes.0.claimRef': undefined },
    'claimTemplate (makes',
  ),
  refused(
    'a volume with two claims',
    full,
    { 'spec.servers.0.volumes.0.claimTemplate': { spec: { resources: { requests: { storage: '1Gi' } } } } },
    'not both',
  ),
  refused(
    'an adopted claim that is deleted',
    full,
    { 'spec.servers.0.volumes.0.whenDeleted': 'Delete' },
    'never deleted',
  ),
  refused(
    'a claim in two volumes',
    full,
    { 'spec.servers.0.volumes.1': { name: 'scratch', claimRef: { name: 'old-home' } } },
    'one volume only',
  ),
  refused(
    'a claim in both servers',
    full,
    { 'spec.servers.1.volumes': [{ name: 'data', claimRef: { name: 'old-home' } }] },
    'one volume only',
  ),
  refused(
    'a claim’s name that cannot be',
    full,
    { 'spec.servers.0.volumes.0.claimRef.name': 'Not A Name!' },
    'claimRef.name',
  ),
  refused(
    'a size that is none',
    minimal,
    { [`${CLAIM}.spec.resources.requests.storage`]: 'much' },
    'storage',
  ),
  refused('a size of nothing', minimal, { [`${CLAIM}.spec.resources.requests.storage`]: '0' }, 'storage'),
  refused('half a byte', minimal, { [`${CLAIM}.spec.resources.requests.storage`]: '500m' }, 'storage'),
  refused('a storage type that is none', minimal, { 'spec.storage.type': 'Shared' }, 'spec.storage.type'),
  refused(
    'reattach of shared volumes',
    minimal,
    { 'spec.storage': { type: 'SharedCoherent', reattach: {} } },
    'belongs to the type Reattach',
  ),
  refused(
    'ReadWriteMany with Reattach',
    minimal,
    { [`${CLAIM}.spec.accessModes`]: ['ReadWriteMany'] },
    'fences nothing',
  ),
  refused(
    'ReadWriteOnce on two nodes',
    minimal,
    { 'spec.storage.type': 'SharedCoherent', [`${CLAIM}.spec.accessModes`]: ['ReadWriteOnce'] },
    'two nodes cannot mount',
  ),
  refused(
    'ReadWriteOncePod for two pods',
    minimal,
    { 'spec.storage.type': 'SameNode', [`${CLAIM}.spec.accessModes`]: ['ReadWriteOncePod'] },
    'two pods cannot use it',
  ),
  refused(
    'a timeout of another policy',
    full,
    { 'spec.storage.reattach.lostNodes.policy': 'Wait' },
    'belongs to the policy',
  ),
  refused(
    'a policy without its timeout',
    full,
    { 'spec.storage.reattach.lostNodes.timeout': undefined },
    'needs it',
  ),
  refused('a timeout of no time', full, { 'spec.storage.reattach.lostNodes.timeout': '0s' }, 'at least 10s'),
  refused('a patience of no time', full, { 'spec.storage.reattach.attachTimeout': '0s' }, 'at least 1s'),
  refused(
    'a duration that overflows',
    minimal,
    { 'spec.failover': { leaseDuration: '99999999999999999h' } },
    'leaseDuration',
  ),
  refused(
    'a duration that is none',
    minimal,
    { 'spec.failover': { leaseDuration: 'soon' } },
    'leaseDuration',
  ),
  refused(
    'a lease shorter than three heartbeats',
    minimal,
    { 'spec.failover': { leaseDuration: '500ms' } },
    'three heartbeatPeriods',
  ),
  refused(
    'a long lease',
    minimal,
    { 'spec.failover': { leaseDuration: '61s', guardDuration: '7s' } },
    'between 300ms and 60s',
  ),
  refused(
    'a short guard',
    minimal,
    { 'spec.failover': { guardDuration: '150ms' } },
    'a tenth of leaseDuration',
  ),
  refused(
    'a guard longer than the lease',
    minimal,
    { 'spec.failover': { guardDuration: '3s' } },
    'not be longer',
  ),
  refused('a short heartbeat', minimal, { 'spec.failover': { heartbeatPeriod: '10ms' } }, 'at least 20ms'),
  refused('automatic with Manual', full, { 'spec.giveback.mode': 'Manual' }, 'belongs to the mode Automatic'),
  refused('a window of no time', full, { 'spec.giveback.automatic.takeoverWindow': '0s' }, 'at least 1m'),
  refused('a pod replaced at once', full, { 'spec.podReplacement.nodeNotReadyTimeout': '0s' }, 'at least 5s'),
  refused(
    'two listeners',
    minimal,
    { 'spec.listeners': [{ name: 'nfs' }, { name: 'two', port: 3000, failoverPort: 3001 }] },
    'spec.listeners',
  ),
  refused(
    'one port for both disk sets',
    minimal,
    { 'spec.listeners': [{ name: 'nfs', port: 2049, failoverPort: 2049 }] },
    'must be different',
  ),
  refused('a port used twice', minimal, { 'spec.interconnect': { port: 2050 } }, 'must all be different'),
  refused('a port out of range', minimal, { 'spec.monitoring': { port: 65536 } }, 'spec.monitoring.port'),
  refused('a node port that is privileged', full, { 'spec.servers.0.nodePorts.0.port': 80 }, 'nodePorts'),
  refused('a node port twice', full, { 'spec.servers.1.nodePorts.0.port': 32049 }, 'number of its own'),
  refused(
    'a node port for both ports',
    full,
    { 'spec.servers.1.nodePorts.0.port': 32052 },
    'number of its own',
  ),
  refused(
    'node ports of no listener',
    full,
    { 'spec.servers.1.nodePorts.0.listener': 'tls' },
    'must name listeners',
  ),
  refused('node ports in the cluster', full, { 'spec.exposure': {} }, 'need exposure.type'),
  refused(
    'a traffic policy in the cluster',
    minimal,
    { 'spec.exposure': { externalTrafficPolicy: 'Local' } },
    'belongs to the types',
  ),
  refused(
    'our own annotations on Services',
    full,
    { 'spec.exposure.serviceTemplate.metadata': { annotations: { 'filerpair.dev/pair': 'other' } } },
    "operator's own",
  ),
  refused(
    'our own labels on pods',
    full,
    { 'spec.podTemplate.metadata.labels': { 'filerpair.dev/current': 'true' } },
    "operator's own",
  ),
  refused('a short suffix', minimal, { 'spec.names': { failoverSuffix: '-ha' } }, 'failoverSuffix'),
  refused(
    'the interconnect’s suffix',
    minimal,
    { 'spec.names': { failoverSuffix: '-interconnect' } },
    'have the suffix -interconnect',
  ),
  refused(
    'a publisher without a domain',
    minimal,
    { 'spec.names': { publisher: 'DNSEndpoint' } },
    'need a domain',
  ),
  refused('a domain that is none', minimal, { 'spec.names': { domain: 'nas..org' } }, 'domain'),
  refused('records that live for no time', full, { 'spec.names.recordTTLSeconds': 0 }, 'recordTTLSeconds'),
  refused(
    'a Service named as the other’s failover Service',
    minimal,
    { 'spec.servers': [{ name: 'a' }, { name: 'b', serviceName: 'nas-a-failover' }] },
    'must all be different',
  ),
  refused(
    'two Services of one name',
    minimal,
    { 'spec.servers': [{ name: 'a' }, { name: 'b', serviceName: 'nas-a' }] },
    'must all be different',
  ),
  refused(
    'servers kept together and apart',
    minimal,
    {
      'spec.storage.type': 'SameNode',
      'spec.antiAffinity': [{ topologyKey: 'kubernetes.io/hostname', mode: 'Required' }],
    },
    'must not require them apart',
  ),
  refused(
    'two servers on one node’s ports',
    minimal,
    { 'spec.storage.type': 'SameNode', 'spec.exposure': { type: 'HostNetwork' } },
    'use NodePort',
  ),
  refused(
    'one certificate',
    full,
    { 'spec.servers.1.interconnectCertificateRef': undefined },
    'of both servers',
  ),
  refused(
    'certificates from nowhere',
    full,
    { 'spec.interconnect.tls': { source: 'Operator' } },
    'belongs to interconnect.tls.source Secrets',
  ),
  refused(
    'cert-manager without an issuer',
    minimal,
    { 'spec.interconnect': { tls: { source: 'CertManager' } } },
    'needs it',
  ),
  refused('maintenance without a reason', full, { 'spec.maintenance.reason': undefined }, 'reason'),
  refused('both servers drained', full, { 'spec.maintenance.drain': ['a', 'b'] }, 'drain'),
  refused('a server drained that is none', full, { 'spec.maintenance.drain': ['c'] }, 'must name servers'),
  refused(
    'a container that is none',
    full,
    { 'spec.podTemplate.spec.containers.1.name': 'other' },
    'containers',
  ),
  refused(
    'an amount that is none',
    full,
    { 'spec.podTemplate.spec.containers.0.resources.requests.cpu': 'many' },
    'cpu',
  ),

  refused('a share without clients', share, { 'spec.clients': [] }, 'spec.clients'),
  refused('a client that is a name', share, { 'spec.clients': ['host.example.org'] }, 'spec.clients'),
  refused('a client out of range', share, { 'spec.clients': ['999.1.1.1/99'] }, 'must be an IP address'),
  refused('a client of colons', share, { 'spec.clients': ['::::'] }, 'must be an IP address'),
  refused('a prefix too long', share, { 'spec.clients': ['10.0.0.0/33'] }, 'must be an IP address'),
  refused(
    'an IPv4 address inside IPv6',
    share,
    { 'spec.clients': ['::ffff:10.0.0.1'] },
    'must be an IP address',
  ),
  refused('a client twice', share, { 'spec.clients': ['10.0.0.1', '10.0.0.1'] }, 'Duplicate value'),
  refused('a path that leaves', share, { 'spec.path': '/..' }, 'spec.path'),
  refused('a path through a parent', share, { 'spec.path': '/a/../b' }, 'spec.path'),
  refused('a path that is relative', share, { 'spec.path': 'home' }, 'spec.path'),
  refused('a directory that leaves', share, { 'spec.directory': '../other' }, 'spec.directory'),
  refused('a directory that is absolute', share, { 'spec.directory': '/etc' }, 'spec.directory'),
  refused(
    'a volume’s root deleted',
    share,
    { 'spec.directory': '.', 'spec.deletionPolicy': 'Delete' },
    'cannot be deleted',
  ),
  refused('a user ID of -1', share, { 'spec.squash': { anonymousUID: 4294967295 } }, 'anonymousUID'),
  refused(
    'an anonymous user without squash',
    share,
    { 'spec.squash': { mode: 'None', anonymousUID: 1 } },
    'mean nothing',
  ),
  refused('a mode that is none', share, { 'spec.createDirectory': { mode: '0999' } }, 'mode'),

  refused('a takeover without its member', takeover, { 'spec.takeover': undefined }, 'needs it'),
  refused(
    'a member of another type',
    takeover,
    { 'spec.giveback': { server: 'a' } },
    'belongs to the type Giveback',
  ),
  refused('force without an epoch', takeover, { 'spec.takeover.ifEpoch': undefined }, 'needs ifEpoch'),
  refused(
    'force that names nothing',
    takeover,
    { 'spec.takeover.force.deadIncarnation': '' },
    'deadIncarnation',
  ),
  refused('an operation that is none', takeover, { 'spec.type': 'Explode' }, 'spec.type'),

  refused(
    'names without Names',
    ['typical', 'FilerPairClass'],
    { 'spec.allowedNamespaces.from': 'All' },
    'belongs to Names',
  ),
  refused(
    'a class without namespaces',
    ['typical', 'FilerPairClass'],
    { 'spec.allowedNamespaces': undefined },
    'allowedNamespaces',
  ),
  refused(
    'a storage class promised twice',
    ['typical', 'FilerPairClass'],
    { 'spec.storage.1.storageClassName': 'cephfs' },
    'Duplicate value',
  ),
];

export interface RefusedChange extends Refused {
  readonly before: AnyObject;
}

const refusedChange = (
  title: string,
  of: readonly [file: string, kind: string, name?: string],
  changes: Changes,
  reason: string,
): RefusedChange => ({ before: example(...of), ...refused(title, of, changes, reason) });

const diskSet = ['everything', 'FilerDiskSet'] as const;

/** Accepted as new objects, refused as changes of what is there. */
export const refusedChanges: readonly RefusedChange[] = [
  refusedChange('another class', full, { 'spec.className': 'other' }, 'className cannot be changed'),
  refusedChange('no class any more', full, { 'spec.className': undefined }, 'className cannot be changed'),
  refusedChange(
    'another storage type',
    minimal,
    { 'spec.storage.type': 'SameNode' },
    'type cannot be changed',
  ),
  refusedChange(
    'no storage any more',
    minimal,
    { 'spec.storage': undefined },
    'storage cannot be added or removed',
  ),
  refusedChange(
    'another server',
    minimal,
    { 'spec.servers': [{ name: 'a' }, { name: 'c' }] },
    'names of the servers',
  ),
  refusedChange(
    'another Service',
    full,
    { 'spec.servers.0.serviceName': 'filer-c' },
    'serviceName cannot be changed',
  ),
  refusedChange(
    'no Service name any more',
    full,
    { 'spec.servers.0.serviceName': undefined },
    'serviceName cannot be changed',
  ),
  refusedChange(
    'a volume less',
    full,
    { 'spec.servers.0.volumes': [example(...full).spec['servers'] as never].flat().slice(0, 0) },
    'cannot be removed',
  ),
  refusedChange('another volume', minimal, { 'spec.volumes.0.name': 'other' }, 'cannot be removed'),
  refusedChange(
    'another StorageClass',
    full,
    { [`${CLAIM}.spec.storageClassName`]: 'slow' },
    'cannot be changed',
  ),
  refusedChange(
    'no StorageClass for the default one',
    minimal,
    { [`${CLAIM}.spec.storageClassName`]: '' },
    'cannot be changed',
  ),
  refusedChange(
    'another access mode',
    full,
    { [`${CLAIM}.spec.accessModes`]: ['ReadWriteOncePod'] },
    'cannot be changed',
  ),
  refusedChange(
    'a smaller volume',
    minimal,
    { [`${CLAIM}.spec.resources.requests.storage`]: '99Gi' },
    'cannot shrink',
  ),
  refusedChange(
    'another claim',
    full,
    { 'spec.servers.0.volumes.0.claimRef.name': 'other' },
    'cannot be exchanged',
  ),
  refusedChange(
    'another suffix',
    minimal,
    { 'spec.names': { failoverSuffix: '-secondary' } },
    'failoverSuffix cannot be changed',
  ),
  refusedChange(
    'a share of another pair',
    share,
    { 'spec.pairRef.name': 'other' },
    'create another FilerShare',
  ),
  refusedChange('a share of the other server', share, { 'spec.server': 'b' }, 'create another FilerShare'),
  refusedChange('another directory', share, { 'spec.directory': 'other' }, 'directory cannot be changed'),
  refusedChange(
    'an operation that is changed',
    takeover,
    { 'spec.reason': 'another' },
    'spec cannot be changed',
  ),
  refusedChange('an epoch that goes back', diskSet, { 'spec.epochFloor': 6 }, 'cannot go back'),
  refusedChange(
    'another promise',
    diskSet,
    { 'spec.storageType': 'SameNode' },
    'storageType cannot be changed',
  ),
  refusedChange('the disk set of another server', diskSet, { 'spec.server': 'b' }, 'cannot be changed'),
];
