/**
 * One client cannot reach the server; the servers are well. The client waits, and asks the failover name in vain: its partner
 * must not serve what it does not own. When the network is back, the client goes on where it was.
 */
import { CLIENT_POD } from '../harness/client-pod.ts';
import { between, cut, heal } from '../harness/faults/network.ts';
import type { PodThing } from '../harness/pair.ts';
import { steadyScenario } from '../harness/steady-scenario.ts';

const LASTS_MS = 5_000;

steadyScenario({
  name: 'client-cut',
  fault: `a client cannot reach the server for ${LASTS_MS / 1000} s`,
  inject: async (pair, server) => {
    const client = await pair.kubectl.get<PodThing>('pod', CLIENT_POD);
    await cut(pair, between(client.status.podIP!, (await pair.pod(server)).status.podIP!));
  },
  lastsMs: LASTS_MS,
  heal,
  served: false,
  gapMsGoal: LASTS_MS + 1_000,
  cleanUp: heal,
});
