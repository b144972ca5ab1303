/** The server cannot reach the API, its partner can. A paired owner needs no API to go on (rule R4). */
import { apiAddress, between, cut, heal } from '../harness/faults/network.ts';
import { steadyScenario } from '../harness/steady-scenario.ts';

steadyScenario({
  name: 'api-cut',
  fault: 'the server cannot reach the API',
  inject: async (pair, server) => {
    const pod = await pair.pod(server);
    await cut(pair, between(pod.status.podIP!, await apiAddress(pair)));
  },
  lastsMs: 8_000,
  heal,
  served: true,
  gapMsGoal: 300,
  cleanUp: heal,
});
