/** The probe of a drill while it runs in the cluster: what it has said, why it does not start, and its removal. */
import { setTimeout as delay } from 'node:timers/promises';
import { isNotFound } from '../../../kubernetes/api-error.ts';
import type { KubernetesObject } from '../../../kubernetes/objects.ts';
import { resources } from '../../../kubernetes/resource.ts';
import { CommandError, NotInTime } from '../command.ts';
import type { Cluster } from '../pairs/cluster.ts';
import { type ProbeLine, parseProbeLine } from '../probe/probe-line.ts';

const READ_EVERY_MS = 300;

interface ProbePod extends KubernetesObject {
  readonly spec?: { readonly nodeName?: string };
  readonly status?: {
    readonly phase?: string;
    readonly conditions?: readonly { readonly status?: string; readonly message?: string }[];
    readonly containerStatuses?: readonly {
      readonly state?: { readonly waiting?: { readonly reason?: string; readonly message?: string } };
    }[];
  };
}

export class ProbeJob {
  readonly name: string;
  readonly #cluster: Cluster;
  #lines: readonly ProbeLine[] = [];
  /** Output of the pod that is not for programs: why it ended. */
  #complaint = '';

  private constructor(cluster: Cluster, name: string) {
    this.#cluster = cluster;
    this.name = name;
  }

  static async start(cluster: Cluster, job: KubernetesObject): Promise<ProbeJob> {
    const made = await cluster.client.create(resources.jobs, job);
    return new ProbeJob(cluster, made.metadata.name ?? '');
  }

  /** Lines that it has written so far. */
  get lines(): readonly ProbeLine[] {
    return this.#lines;
  }

  /** Waits for a line. Rejects when the probe ends without it, after the time, or with the reason of `stop`. */
  async until(kind: ProbeLine['kind'], timeoutMs: number, stop: AbortSignal): Promise<void> {
    const endMs = performance.now() + timeoutMs;
    for (;;) {
      const state = await this.#read();
      if (this.#lines.some((line) => line.kind === kind)) return;
      if (state.ended)
        throw new CommandError(`the probe has ended before its time: ${this.#complaint || state.why}`);
      if (performance.now() > endMs)
        throw new NotInTime(
          `the probe (Job ${this.name}) has not got as far as "${kind}" within ${timeoutMs / 1000} s: ${state.why}`,
        );
      await delay(READ_EVERY_MS, undefined, { signal: stop }).catch(() => {});
      stop.throwIfAborted();
    }
  }

  /** Removes the Job and its pod. The probe removes its own files when it is told to end. */
  async remove(): Promise<void> {
    const { client, namespace } = this.#cluster;
    await client.delete(resources.jobs, { namespace, name: this.name }).catch((error: unknown) => {
      if (!isNotFound(error)) throw error;
    });
  }

  async #read(): Promise<{ readonly ended: boolean; readonly why: string }> {
    const { client, namespace } = this.#cluster;
    const labelSelector = `batch.kubernetes.io/job-name=${this.name}`;
    const { items } = await client.list<ProbePod>(resources.pods, { namespace, labelSelector });
    const [pod] = items;
    if (pod === undefined)
      return { ended: false, why: `it has no pod (kubectl -n ${namespace} describe job ${this.name})` };
    const { phase = 'Pending' } = pod.status ?? {};
    if (phase === 'Pending') return { ended: false, why: pendingSince(pod) };
    const name = pod.metadata.name ?? '';
    const texts = (await client.log({ namespace, name, container: 'probe' })).split('\n');
    this.#lines = texts.map(parseProbeLine).filter((line) => line !== null);
    this.#complaint = texts.filter((text) => text.trim() !== '' && parseProbeLine(text) === null).join(' ');
    return { ended: phase !== 'Running', why: `its pod ${name} is ${phase}` };
  }
}

function pendingSince({ metadata, status }: ProbePod): string {
  const { reason, message } = status?.containerStatuses?.[0]?.state?.waiting ?? {};
  const refused = status?.conditions?.find((one) => one.status === 'False' && one.message !== undefined);
  const why = [reason, message ?? refused?.message].filter((one) => one !== undefined).join(': ');
  return `its pod ${metadata.name} is Pending${why === '' ? '' : ` (${why})`}`;
}
