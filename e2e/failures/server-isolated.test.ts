/**
 * The server reaches neither its partner nor the API; clients still reach it. It must stop serving by itself before its partner
 * begins, although everybody who asks it finds it well.
 */
import { failoverScenario } from '../harness/failover-scenario.ts';
import { apiAddress, between, cut, heal } from '../harness/faults/network.ts';
import { partnerOf } from '../harness/pair.ts';
import { SERVER_BACK_MS_MAX, SILENT_FAILOVER_MS_MAX } from '../harness/timeouts.ts';

failoverScenario({
  name: 'server-isolated',
  fault: 'the server reaches neither its partner nor the API',
  inject: async (pair, server) => {
    const [own, other] = [await pair.pod(server), await pair.pod(partnerOf(server))];
    const [address, api] = [own.status.podIP!, await apiAddress(pair)];
    await cut(pair, [...between(address, other.status.podIP!), ...between(address, api)]);
  },
  gapMsGoal: SILENT_FAILOVER_MS_MAX,
  repair: async (pair) => {
    await heal(pair);
    await pair.takeoverPossible(SERVER_BACK_MS_MAX);
  },
  replacesPod: false,
  cleanUp: heal,
});
