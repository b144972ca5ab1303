/**
 * What the partner says does not arrive, what the server says does. TCP makes silence of it, and no partner may take over from
 * an owner that can renew its Lease.
 */
import { cut, heal } from '../harness/faults/network.ts';
import { partnerOf } from '../harness/pair.ts';
import { steadyScenario } from '../harness/steady-scenario.ts';

steadyScenario({
  name: 'interconnect-cut-one-way',
  fault: 'what the partner sends to the server is lost',
  inject: async (pair, server) => {
    const [own, other] = [await pair.pod(server), await pair.pod(partnerOf(server))];
    await cut(pair, [{ from: other.status.podIP!, to: own.status.podIP! }]);
  },
  lastsMs: 8_000,
  heal,
  served: true,
  gapMsGoal: 300,
  cleanUp: heal,
});
