/** A pair whose disks move from node to node: ReadWriteOnce claims of the tests' CSI driver. */
import { join } from 'node:path';
import { STORAGE_CLASS } from '../csi/install.ts';
import type { TestEnvironment } from '../environment.ts';
import type { Thing } from '../harness/kubectl.ts';
import {
  claimOf,
  PAIR,
  Pair,
  type PodThing,
  pairManifest,
  SERVERS,
  type Server,
  VOLUME,
} from '../harness/pair.ts';
import { run } from '../machine/command.ts';

interface ClaimThing extends Thing {
  readonly spec: { readonly volumeName: string };
}

interface VolumeThing extends Thing {
  readonly spec: { readonly csi: { readonly volumeHandle: string } };
}

/** As the operator names it (operator/model/names.ts): a directory of each node. */
const ON_NODES = '/var/lib/filerpair';

export interface DiskSettings {
  /** Fields of spec.storage.reattach. */
  readonly reattach?: Readonly<Record<string, unknown>>;
  /** Further fields of the claims' spec. */
  readonly claim?: Readonly<Record<string, unknown>>;
  /** Of both servers. */
  readonly priorityClassName?: string;
}

export class ReattachPair extends Pair {
  readonly #settings: DiskSettings;

  constructor(environment: TestEnvironment, namespace: string, settings: DiskSettings = {}) {
    super(environment, namespace);
    this.#settings = settings;
  }

  protected override async makeVolumes(): Promise<void> {}

  protected override volumes(): object[] {
    return [];
  }

  protected override manifest(domain?: string): object {
    const { metadata, spec, ...shared } = pairManifest(this.namespace, domain);
    const { claim, priorityClassName, reattach } = this.#settings;
    const resources = { requests: { storage: '1Gi' } };
    const claimTemplate = {
      spec: { storageClassName: STORAGE_CLASS, accessModes: ['ReadWriteOnce'], resources, ...claim },
    };
    const { podTemplate } = spec;
    return {
      ...shared,
      metadata,
      spec: {
        ...spec,
        servers: SERVERS.map((name) => ({ name })),
        volumes: [{ name: VOLUME, claimTemplate }],
        podTemplate: { spec: { ...podTemplate.spec, ...(priorityClassName && { priorityClassName }) } },
        // On one node nothing moves. There may be no room on the other for the moment, for pods of the test before.
        antiAffinity: [{ topologyKey: 'kubernetes.io/hostname', mode: 'Required' }],
        storage: { type: 'Reattach', ...(reattach && { reattach }) },
      },
    };
  }

  /** A new file system belongs to root; the writer is an ordinary user. */
  override async ready(msMax?: number): Promise<void> {
    await super.ready(msMax);
    for (const server of SERVERS) {
      const pod = await this.attachmentPod(server);
      await this.kubectl.run('exec', pod.metadata.name, '--', 'chmod', '777', `/claims/${VOLUME}`);
    }
  }

  /** The pod that holds a disk set's claims now, and is to go on holding them. */
  async attachmentPod(home: Server): Promise<PodThing> {
    const pods = await this.kubectl.list<PodThing>('pods', `filerpair.dev/attachment=${home}`);
    const staying = pods.filter(({ metadata }) => metadata.deletionTimestamp === undefined);
    if (staying.length !== 1) throw new Error(`${staying.length} pods hold the disks of ${home}`);
    return staying[0]!;
  }

  /** The storage's name for the disk of a disk set. */
  async diskOf(home: Server): Promise<string> {
    const { spec } = await this.kubectl.get<ClaimThing>('pvc', claimOf(home));
    const volume = await this.kubectl.get<VolumeThing>('pv', spec.volumeName);
    return volume.spec.csi.volumeHandle;
  }

  /** Directory of the node in which the servers' containers see the disks of a disk set. */
  async directoryOnNodes(home: Server): Promise<string> {
    const { metadata } = await this.kubectl.get<Thing>('filerpair', PAIR);
    const pod = await this.attachmentPod(home);
    return join(ON_NODES, metadata.uid, home, pod.metadata.uid, VOLUME);
  }

  /** Through the mount of the node that has the disk now. */
  override async onDisk(server: Server): Promise<string> {
    const { nodeName } = (await this.attachmentPod(server)).spec;
    const pid = (await run(['docker', 'inspect', '--format', '{{.State.Pid}}', nodeName])).trim();
    return join('/proc', pid, 'root', await this.directoryOnNodes(server));
  }
}
