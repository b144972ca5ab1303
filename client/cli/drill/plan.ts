/** Plan of a drill: with which server and share, and the Job that runs its probe. Pure; refuses what could not be undone. */
import type { KubernetesObject } from '../../../kubernetes/objects.ts';
import { apiVersionOf, resources } from '../../../kubernetes/resource.ts';
import { FAILOVER_SUFFIX } from '../../failover-name.ts';
import { CommandError } from '../command.ts';
import {
  type DiskSetObject,
  partnerOf,
  type ServerMeant,
  type ShareObject,
  serviceOf,
} from '../pairs/cluster.ts';

/** The part of a server's pod that says where it runs and how its image is pulled. */
export interface ServerPod extends KubernetesObject {
  readonly spec?: {
    readonly nodeName?: string;
    readonly imagePullSecrets?: readonly object[];
    readonly tolerations?: readonly object[];
    readonly containers?: readonly {
      readonly name?: string;
      readonly image?: string;
      readonly imagePullPolicy?: string;
    }[];
  };
}

export interface DrillSubject extends ServerMeant {
  /** All shares of the pair. */
  readonly shares: readonly ShareObject[];
  readonly record: DiskSetObject;
  /** Pod of the partner; undefined: it has none. */
  readonly partnerPod: ServerPod | undefined;
}

export interface DrillChoice {
  /** Name of a FilerShare; undefined: the first that can be used. */
  readonly share: string | undefined;
  /** The probe writes, and does not only ask for attributes. */
  readonly write: boolean;
  /** As whom it acts. */
  readonly uid: number;
}

export interface DrillPlan {
  readonly pair: string;
  readonly server: string;
  readonly partner: string;
  /** Their Services: what clients know them by. */
  readonly service: string;
  readonly partnerService: string;
  readonly share: string;
  /** Epoch of the disk set before anything moves. */
  readonly epoch: number;
  readonly port: number;
  readonly failoverPort: number;
  readonly job: KubernetesObject;
}

/** User and group of the probe, unless others are given: `nobody` on Linux. */
export const PROBE_UID = 65534;
/** When the command was killed and cannot remove the Job: how long the Job may run, and how long it is kept after its end. Seconds. */
const DEADLINE_S = 1800;
const KEPT_S = 300;
const GRACE_S = 5;

/** Throws CommandError where the drill is refused. */
export function drillPlan(subject: DrillSubject, choice: DrillChoice): DrillPlan {
  const { pair, server, record } = subject;
  const partner = partnerOf(subject);
  const name = pair.metadata.name ?? '';
  const service = serviceOf(pair, server);
  const { owner, epoch } = record.status!;
  if (owner !== server)
    throw new CommandError(
      `${owner === undefined ? `the disk set of ${server} is not served` : `${owner} serves the disk set of ${server}`}: a drill begins with each server at its own (kubectl filerpair giveback ${server} ${name})`,
    );
  if (pair.spec.maintenance?.drain?.includes(server))
    throw new CommandError(
      `${server} is out of service (spec.maintenance.drain): it would not get its disk set back. First: kubectl filerpair undrain ${server} ${name}`,
    );
  const share = shareFor(subject, choice);
  const { port, failoverPort } = pair.spec.listeners[0]!;
  const { failoverSuffix } = pair.spec.names;
  const suffix = failoverSuffix === FAILOVER_SUFFIX ? '' : `?suffix=${failoverSuffix}`;
  const path = share.status?.path ?? share.spec.path ?? `/${share.metadata.name}`;
  const url = `nfs://${service}:${port}:${failoverPort}${path}${suffix}`;
  return {
    pair: name,
    server,
    partner,
    service,
    partnerService: serviceOf(pair, partner),
    share: share.metadata.name ?? '',
    epoch: epoch!,
    port,
    failoverPort,
    job: probeJob(subject, url, choice),
  };
}

function shareFor({ pair, server, shares }: DrillSubject, choice: DrillChoice): ShareObject {
  const found = shares.map((share) => ({ share, unfit: unfitFor(share, server, choice) }));
  const named = choice.share;
  if (named === undefined) {
    const first = found.find(({ unfit }) => unfit === null);
    if (first !== undefined) return first.share;
    const why = found.map(({ share, unfit }) => `${share.metadata.name} ${unfit}`).join('; ');
    throw new CommandError(
      `the probe needs a FilerShare of ${server} of ${pair.metadata.name}${why === '' ? ', which has none' : `: ${why}`}`,
    );
  }
  const it = found.find(({ share }) => share.metadata.name === named);
  if (it === undefined) throw new CommandError(`FilerPair ${pair.metadata.name} has no FilerShare ${named}`);
  if (it.unfit !== null) throw new CommandError(`FilerShare ${named} ${it.unfit}`);
  return it.share;
}

/** Why the probe cannot use it, as the rest of a sentence; null: it can. */
function unfitFor({ spec, status, metadata }: ShareObject, server: string, { write }: DrillChoice) {
  if (spec.server !== server) return `is of ${spec.server}`;
  if (metadata.deletionTimestamp !== undefined) return 'is being deleted';
  const ready = status?.conditions?.find(({ type }) => type === 'Ready');
  if (ready?.status !== 'True') return `is not ready${ready === undefined ? '' : `: ${ready.message}`}`;
  if (spec.clientPorts === 'Reserved')
    return 'takes calls from reserved ports only, which the probe may not open';
  if (write && spec.access === 'ReadOnly') return 'is read-only: without --write the probe only reads';
  return null;
}

/** The client in the image of the servers, near the one that takes over, as Pod Security "restricted" wants it. */
function probeJob({ pair, partnerPod }: DrillSubject, url: string, choice: DrillChoice): KubernetesObject {
  const { name = '', namespace } = pair.metadata;
  const { nodeName, imagePullSecrets, tolerations, containers } = partnerPod?.spec ?? {};
  const server = containers?.find((one) => one.name === 'server');
  if (server?.image === undefined)
    throw new CommandError(`no server of ${name} runs whose image the probe could use`);
  const here = { matchFields: [{ key: 'metadata.name', operator: 'In', values: [nodeName] }] };
  const labels = { 'app.kubernetes.io/name': 'filerpair-drill', 'app.kubernetes.io/instance': name };
  const { imagePullPolicy } = server;
  return {
    apiVersion: apiVersionOf(resources.jobs),
    kind: resources.jobs.kind,
    metadata: { generateName: `${name}-drill-`, namespace, labels },
    spec: {
      backoffLimit: 0,
      activeDeadlineSeconds: DEADLINE_S,
      ttlSecondsAfterFinished: KEPT_S,
      template: {
        metadata: { labels },
        spec: {
          restartPolicy: 'Never',
          terminationGracePeriodSeconds: GRACE_S,
          automountServiceAccountToken: false,
          enableServiceLinks: false,
          ...(imagePullSecrets === undefined ? {} : { imagePullSecrets }),
          ...(tolerations === undefined ? {} : { tolerations }),
          // The probe's view of the takeover and the new owner's report of it are then by one clock.
          ...(nodeName === undefined
            ? {}
            : {
                affinity: {
                  nodeAffinity: {
                    preferredDuringSchedulingIgnoredDuringExecution: [{ weight: 100, preference: here }],
                  },
                },
              }),
          securityContext: {
            runAsNonRoot: true,
            runAsUser: PROBE_UID,
            runAsGroup: PROBE_UID,
            seccompProfile: { type: 'RuntimeDefault' },
          },
          containers: [
            {
              name: 'probe',
              image: server.image,
              ...(imagePullPolicy === undefined ? {} : { imagePullPolicy }),
              args: [
                ...['filerpair', 'probe', url, '--json', '--round-trip', '--timeout', '0'],
                ...['--uid', String(choice.uid), '--gid', String(choice.uid)],
                ...(choice.write ? ['--write'] : []),
              ],
              resources: { requests: { cpu: '50m', memory: '64Mi' } },
              securityContext: {
                allowPrivilegeEscalation: false,
                readOnlyRootFilesystem: true,
                capabilities: { drop: ['ALL'] },
              },
            },
          ],
        },
      },
    },
  } as KubernetesObject;
}
