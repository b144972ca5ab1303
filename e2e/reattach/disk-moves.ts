/** What the move of a disk set's disks takes, step by step, as a watch of the API shows it. */
import { Kubectl, type Thing } from '../harness/kubectl.ts';
import { claimOf, diskSetOf, type Pair, type PodThing, type Server } from '../harness/pair.ts';

interface VolumeAttachmentThing extends Thing {
  readonly spec: { readonly nodeName: string; readonly source: { readonly persistentVolumeName?: string } };
  readonly status?: { readonly attached?: boolean };
}

interface ClaimThing extends Thing {
  readonly spec: { readonly volumeName?: string };
}

interface LeaseThing extends Thing {
  readonly spec?: { readonly holderIdentity?: string; readonly leaseTransitions?: number };
}

interface AttachmentPodThing extends PodThing {
  readonly status: PodThing['status'] & {
    readonly conditions?: readonly { readonly type: string; readonly status: string }[];
  };
}

/** In order. Each ends with the thing that its name says. */
const STEPS = ['claimed', 'told to go', 'unmounted', 'detached', 'pod made', 'attached', 'mounted'] as const;
type Step = (typeof STEPS)[number];

export class DiskMoves {
  readonly #stops: (() => void)[] = [];
  #begun = 0;
  #at = new Map<Step, number>();
  #epoch: number | undefined;

  private constructor(pair: Pair, home: Server, volume: string) {
    const cluster = new Kubectl(pair.environment, pair.namespace);
    const follow = <T extends Thing>(kind: string, on: (type: string, object: T) => void) =>
      this.#stops.push(cluster.watch<T>(kind, ({ type, object }) => on(type, object)).stop);
    follow<LeaseThing>('leases', (_, { metadata, spec }) => {
      if (metadata.name !== diskSetOf(home) || !spec?.holderIdentity) return;
      if (this.#epoch !== undefined && spec.leaseTransitions !== this.#epoch) this.#note('claimed');
      this.#epoch = spec.leaseTransitions;
    });
    follow<AttachmentPodThing>('pods', (type, { metadata, status }) => {
      if (metadata.labels?.['filerpair.dev/attachment'] !== home) return;
      if (type === 'DELETED') this.#note('unmounted');
      else if (metadata.deletionTimestamp !== undefined) this.#note('told to go');
      else if (!this.#at.has('told to go')) return;
      else if (type === 'ADDED') this.#note('pod made');
      else if (status.conditions?.some((one) => one.type === 'Ready' && one.status === 'True'))
        this.#note('mounted');
    });
    follow<VolumeAttachmentThing>('volumeattachments', (type, { spec, status }) => {
      if (spec.source.persistentVolumeName !== volume) return;
      if (type === 'DELETED') this.#note('detached');
      else if (status?.attached === true && this.#at.has('detached')) this.#note('attached');
    });
  }

  static async watch(pair: Pair, home: Server): Promise<DiskMoves> {
    const claim = await pair.kubectl.get<ClaimThing>('pvc', claimOf(home));
    return new DiskMoves(pair, home, claim.spec.volumeName!);
  }

  /** What is seen from now on belongs to the next move. */
  begin(): void {
    this.#begun = performance.now();
    this.#at = new Map();
  }

  /** How long each step took after the one before, ms. Steps that were not seen are left out. */
  phasesMs(): Record<string, number> {
    let last = this.#begun;
    const phases: Record<string, number> = {};
    for (const step of STEPS) {
      const at = this.#at.get(step);
      if (at === undefined) continue;
      phases[step] = Math.round(at - last);
      last = at;
    }
    return phases;
  }

  stop(): void {
    for (const stop of this.#stops) stop();
  }

  #note(step: Step): void {
    if (this.#begun > 0 && !this.#at.has(step)) this.#at.set(step, performance.now());
  }
}
