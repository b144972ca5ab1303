/** The ways in which people and controllers take a pod away. */
import type { Pair, Server } from '../pair.ts';

/** As `kubectl delete pod` does it: SIGTERM first, the grace period, a replacement by the operator. */
export async function deletePod(pair: Pair, server: Server): Promise<void> {
  const pod = await pair.pod(server);
  await pair.kubectl.run('delete', 'pod', pod.metadata.name, '--wait=false');
}

/** The object is gone at once, and with it the server's account at the API; the kubelet ends the containers later. */
export async function forceDeletePod(pair: Pair, server: Server): Promise<void> {
  const pod = await pair.pod(server);
  await pair.kubectl.run('delete', 'pod', pod.metadata.name, '--wait=false', '--force', '--grace-period=0');
}
