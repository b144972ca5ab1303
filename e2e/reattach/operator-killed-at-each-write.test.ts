/**
 * The operator is killed between every two writes of a takeover and of a giveback whose disks move. It is killed after the
 * first write, at the next request after the second, and so on, until a request needs no more. The API server has carried the
 * write out, and the operator has not heard of it.
 */
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { expect } from 'vitest';
import { eventually } from '../../testing/eventually.ts';
import { OPERATOR_NAMESPACE, RELEASE } from '../application/chart.ts';
import { REPOSITORY } from '../environment.ts';
import { ApiProxy } from '../harness/faults/api-proxy.ts';
import { removeOperator, returnOperator } from '../harness/faults/control-plane.ts';
import { Kubectl, type Thing } from '../harness/kubectl.ts';
import { diskSetOf, type Pair } from '../harness/pair.ts';
import { LINES_AFTERWARDS, PARTNER, SERVER, scenario } from '../harness/scenario.ts';
import { step } from '../harness/step.ts';
import { REQUEST_ANSWERED_MS_MAX, WRITER_FINISHED_MS_MAX } from '../harness/timeouts.ts';
import { say } from '../machine/stage.ts';
import { OperatorProcess } from '../scale/operator-process.ts';
import { PLANNED_MS_GOAL } from './moving-scenario.ts';
import { ReattachPair } from './reattach-pair.ts';

// It runs on this machine, through a proxy that counts; the cluster's own have gone.

const HEALTH_PORT = 18081;
/** An operator that has nothing to do writes nothing for so long. ms */
const QUIET_MS = 1_000;
/** A request that writes more often than this goes round in circles. */
const WRITES_MAX = 60;
const MS_MAX = 30 * 60_000;

interface LeaseThing extends Thing {
  readonly spec: { readonly leaseTransitions: number };
}

const lease = (pair: Pair): Promise<LeaseThing> => pair.kubectl.get('lease', diskSetOf(SERVER));

class Rounds {
  readonly #pair: Pair;
  readonly #proxy: ApiProxy;
  readonly #kubeconfig: string;
  operator: OperatorProcess | undefined;

  constructor(pair: Pair, proxy: ApiProxy, kubeconfig: string) {
    this.#pair = pair;
    this.#proxy = proxy;
    this.#kubeconfig = kubeconfig;
  }

  /** Asks, and kills the operator after so many writes. False: the request was done with fewer. */
  async play(kind: 'takeover' | 'giveback', writes: number): Promise<boolean> {
    await this.#start();
    await this.#proxy.quiet(QUIET_MS, REQUEST_ANSWERED_MS_MAX);
    await this.#pair.takeoverPossible(WRITER_FINISHED_MS_MAX);
    const before = (await lease(this.#pair)).spec.leaseTransitions;
    const stopped = this.#proxy.stopAfter(writes).then(() => true);
    const served = this.#untilServed(kind).then(() => false);
    const killed = await Promise.race([stopped, served]);
    if (killed) {
      await this.operator?.kill();
      this.#proxy.goOn();
      await this.#start();
      await served;
    }
    this.#proxy.goOn();
    const { leaseTransitions } = (await lease(this.#pair)).spec;
    expect(leaseTransitions - before, `changes of owner by the ${kind}, killed after ${writes} writes`).toBe(
      1,
    );
    await this.stop();
    return killed;
  }

  async stop(): Promise<void> {
    await this.operator?.stop();
    this.operator = undefined;
  }

  async #start(): Promise<void> {
    this.operator = await OperatorProcess.start({
      kubeconfig: this.#kubeconfig,
      port: HEALTH_PORT,
      log: join(REPOSITORY, 'out/e2e-operator.log'),
      fileserverImage: this.#pair.environment.images.fileserver,
    });
  }

  /** Done, off the Lease, and the disks are where they belong. */
  async #untilServed(kind: 'takeover' | 'giveback'): Promise<void> {
    await this.#pair.request(kind, SERVER);
    await eventually('the request is off the Lease', REQUEST_ANSWERED_MS_MAX, async () => {
      const { annotations = {} } = (await lease(this.#pair)).metadata;
      return annotations['filerpair.dev/request'] === undefined;
    });
    await this.#pair.servedBy(SERVER, kind === 'takeover' ? PARTNER : SERVER, WRITER_FINISHED_MS_MAX);
  }
}

scenario(
  {
    name: 'reattach-operator-killed-at-each-write',
    fault:
      'the operator is killed after each of the writes that a takeover and a giveback with disks take it',
    // A killed operator is followed at once: on this machine it starts in a few seconds.
    gapMsGoal: PLANNED_MS_GOAL + 5_000,
    replaces: [],
    domain: null,
    makePair: (environment, namespace) => new ReattachPair(environment, namespace),
    cleanUp: returnOperator,
    msMax: MS_MAX,
  },
  'a request whose operator is killed after any of its writes ends once, and Done is true',
  async ({ pair, writer }) => {
    await step('the operators end', () => removeOperator(pair));
    const directory = join(REPOSITORY, '.cache/e2e');
    mkdirSync(directory, { recursive: true });
    const kubeconfig = join(directory, 'proxy.kubeconfig');
    // With the rights of the operator's account: policies know it.
    const account = new Kubectl(pair.environment, OPERATOR_NAMESPACE);
    const token = (await account.run('create', 'token', `${RELEASE}-operator`)).trim();
    const proxy = await ApiProxy.start(pair.environment.cluster.kubeconfig, kubeconfig, token);
    const rounds = new Rounds(pair, proxy, kubeconfig);
    const marks = { takeover: 'failover', giveback: 'giveback' } as const;
    const most = { takeover: 0, giveback: 0 };
    try {
      for (let writes = 1, going = true; going; writes++) {
        expect(writes).toBeLessThan(WRITES_MAX);
        going = false;
        for (const kind of ['takeover', 'giveback'] as const) {
          await writer.mark(`${marks[kind]} ${writes}`);
          const killed = await step(
            `${kind}, with ${writes} writes before the kill, if it takes so many`,
            () => rounds.play(kind, writes),
          );
          if (killed) most[kind] = writes;
          going ||= killed;
          await writer.writes(LINES_AFTERWARDS, WRITER_FINISHED_MS_MAX);
        }
      }
    } finally {
      await rounds.stop();
      await proxy.close();
    }
    say(`  killed after each of ${most.takeover} writes of a takeover and ${most.giveback} of a giveback`);
    expect(Math.min(most.takeover, most.giveback)).toBeGreaterThan(4);
    await step('the operators are back', () => returnOperator(pair));
    await step('both disk sets are served', () => pair.takeoverPossible(WRITER_FINISHED_MS_MAX));
  },
);
