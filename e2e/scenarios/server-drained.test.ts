/**
 * A server is taken out of service for planned work: it is listed in spec.maintenance.drain. Its partner serves as long as it
 * stands there, and the disk set goes back when it does not.
 */
import { failoverScenario } from '../harness/failover-scenario.ts';
import { PAIR, type Pair, type Server } from '../harness/pair.ts';
import { SERVER_BACK_MS_MAX } from '../harness/timeouts.ts';

async function maintain(pair: Pair, maintenance: object | null): Promise<void> {
  const patch = JSON.stringify({ spec: { maintenance } });
  await pair.kubectl.run('patch', 'filerpair', PAIR, '--type=merge', `--patch=${patch}`);
}

failoverScenario({
  name: 'server-drained',
  fault: 'the server is drained',
  inject: (pair: Pair, server: Server) => maintain(pair, { reason: 'new disk', drain: [server] }),
  gapMsGoal: 300,
  repair: async (pair) => {
    await maintain(pair, null);
    await pair.takeoverPossible(SERVER_BACK_MS_MAX);
  },
  replacesPod: false,
  cleanUp: (pair) => maintain(pair, null),
});
