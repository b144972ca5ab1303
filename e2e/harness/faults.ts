// The ways in which scenarios break a pair.
import { run, succeeds } from '../machine/command.ts';
import { eventually } from '../machine/eventually.ts';
import type { Pair, Server } from './pair.ts';

/** SIGKILL is a matter of milliseconds; docker exec is not. */
const KILLED_MS_MAX = 10_000;

/** As `kubectl delete pod` does it: SIGTERM first, the grace period, a replacement by the operator. */
export async function deletePod(pair: Pair, server: Server): Promise<void> {
  const pod = await pair.pod(server);
  await pair.kubectl.run('delete', 'pod', pod.metadata.name, '--wait=false');
}

/**
 * Kills the server process with SIGKILL, and nothing else: the sentinel in the same pod lives on. The process is
 * found in the node by its pod's UID (in its cgroup) and its program.
 */
export async function killServerProcess(pair: Pair, server: Server): Promise<void> {
  const pod = await pair.pod(server);
  const uid = pod.metadata.uid.replaceAll('-', '[-_]');
  const script = `
    killed=
    for process in /proc/[0-9]*; do
      grep -qE '${uid}' $process/cgroup 2>/dev/null || continue
      case $(tr '\\0' ' ' <$process/cmdline 2>/dev/null) in
        *tini*) ;;
        *fileserver/main.*) kill -KILL \${process#/proc/} && killed=yes ;;
      esac
    done
    [ -n "$killed" ]`;
  const killed = await succeeds(['docker', 'exec', pod.spec.nodeName, 'sh', '-c', script]);
  if (!killed) throw new Error(`no server process of ${server} was found in ${pod.spec.nodeName}`);
  await eventually('the kubelet has seen the container end', KILLED_MS_MAX, async () => {
    const now = await pair.pod(server);
    const status = now.status.containerStatuses?.find((one) => one.name === 'server');
    return now.metadata.uid !== pod.metadata.uid || !status?.ready || status.restartCount > 0;
  });
}

/** Freezes a worker node with everything in it: what a hung hypervisor looks like. Nobody gets an error message. */
export async function pauseNode(node: string): Promise<void> {
  await run(['docker', 'pause', node]);
}

export async function unpauseNode(node: string): Promise<void> {
  await run(['docker', 'unpause', node]);
}
