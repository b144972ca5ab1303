/**
 * A pod whose program knows nothing of pairs: it uses the proxy beside it, as docs/clients.md has it ("A pod"). The server dies, the
 * program goes on.
 */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { parse } from 'yaml';
import { REPOSITORY } from '../environment.ts';
import { createClientPod } from '../harness/client-pod.ts';
import { failoverScenario } from '../harness/failover-scenario.ts';
import { killServerProcess } from '../harness/faults/processes.ts';
import { EXPORTS, Pair, type Server } from '../harness/pair.ts';
import { SERVER } from '../harness/scenario.ts';
import { SERVER_BACK_MS_MAX } from '../harness/timeouts.ts';
import { sectionBelow } from '../install/readme-blocks.ts';

/** Where the example's proxy listens. */
const PROXY = '127.0.0.1:20490';

/** What its program calls the files: by the proxy, which is all that it knows. */
class ProxiedPair extends Pair {
  override urlOf(server: Server): string {
    return `nfs://${PROXY}${EXPORTS[server]}?alone`;
  }
}

/** The container of the page, with this cluster's names. */
function proxyOfDocs(pair: Pair): object {
  const page = readFileSync(join(REPOSITORY, 'docs/clients.md'), 'utf8');
  const block = /```yaml\n([\s\S]*?)```/.exec(sectionBelow(page, '## A pod'))![1]!;
  const { containers } = parse(
    block
      .replace('FILESERVER_IMAGE', pair.environment.images.fileserver)
      .replace('nfs://filer-a.storage/home', Pair.prototype.urlOf.call(pair, SERVER)),
  ) as { containers: object[] };
  return { ...containers[0], imagePullPolicy: 'Never' };
}

failoverScenario({
  name: 'proxy-beside-client',
  fault: 'the server of a pod with a proxy beside it is killed',
  inject: killServerProcess,
  gapMsGoal: 500,
  makePair: (environment, namespace) => new ProxiedPair(environment, namespace),
  makeClient: (pair, node) => createClientPod(pair, node, {}, [proxyOfDocs(pair)]),
  repair: (pair) => pair.takeoverPossible(SERVER_BACK_MS_MAX),
  replacesPod: false,
});
