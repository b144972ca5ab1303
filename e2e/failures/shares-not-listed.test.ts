/** The survivor of a failure may not list the FilerShares: it has the Lease, and serves the copy of the exports on the volume. */
import { eventually } from '../../testing/eventually.ts';
import { failoverScenario } from '../harness/failover-scenario.ts';
import { removeOperator, returnOperator } from '../harness/faults/control-plane.ts';
import { killServerProcess } from '../harness/faults/processes.ts';
import type { Thing } from '../harness/kubectl.ts';
import { type Pair, partnerOf, type Server, serviceOf } from '../harness/pair.ts';
import { SERVER_BACK_MS_MAX } from '../harness/timeouts.ts';

interface RoleThing extends Thing {
  readonly rules: readonly { readonly resources: readonly string[] }[];
}

/** As long as the operator is away, nobody gives the right back. */
async function forbidShares(pair: Pair, server: Server): Promise<void> {
  const { rules } = await pair.kubectl.get<RoleThing>('role', serviceOf(server));
  const left = rules.filter(({ resources }) => !resources.some((one) => one.startsWith('filershares')));
  if (left.length === rules.length) throw new Error(`role ${serviceOf(server)} has no right on filershares`);
  const patch = JSON.stringify({ rules: left });
  await pair.kubectl.run('patch', 'role', serviceOf(server), '--type=merge', `--patch=${patch}`);
}

/** Its process is started anew: what it knew of the shares is gone. */
async function restart(pair: Pair, server: Server): Promise<void> {
  const runs = async () =>
    (await pair.pod(server)).status.containerStatuses?.find(({ name }) => name === 'server');
  const before = (await runs())?.restartCount ?? 0;
  await killServerProcess(pair, server);
  await eventually(`${server} runs again`, SERVER_BACK_MS_MAX, async () => {
    const now = await runs();
    return now !== undefined && now.restartCount > before && now.ready;
  });
}

failoverScenario({
  name: 'shares-not-listed',
  fault: 'the server is killed, and its partner, which was restarted, may not list the FilerShares',
  inject: async (pair, server) => {
    await removeOperator(pair);
    await forbidShares(pair, partnerOf(server));
    await restart(pair, partnerOf(server));
    await killServerProcess(pair, server);
    await pair.leaseHeldBy(server, partnerOf(server), SERVER_BACK_MS_MAX);
    await returnOperator(pair);
  },
  gapMsGoal: 1_000,
  repair: (pair) => pair.takeoverPossible(SERVER_BACK_MS_MAX),
  replacesPod: false,
  cleanUp: returnOperator,
});
