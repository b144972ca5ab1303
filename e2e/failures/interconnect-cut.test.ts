/**
 * The two servers cannot reach each other, everybody else can reach both. The Lease decides, and it has an owner: that server
 * goes on by renewing it (solo), and its partner must not take over.
 */
import { between, cut, heal } from '../harness/faults/network.ts';
import { partnerOf } from '../harness/pair.ts';
import { steadyScenario } from '../harness/steady-scenario.ts';

steadyScenario({
  name: 'interconnect-cut',
  fault: 'the servers cannot reach each other',
  inject: async (pair, server) => {
    const [own, other] = [await pair.pod(server), await pair.pod(partnerOf(server))];
    await cut(pair, between(own.status.podIP!, other.status.podIP!));
  },
  lastsMs: 8_000,
  heal,
  served: true,
  gapMsGoal: 300,
  cleanUp: heal,
});
