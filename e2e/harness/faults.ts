// The ways in which scenarios break a pair.
import { run, succeeds } from '../machine/command.ts';
import { eventually } from '../machine/eventually.ts';
import type { Pair, Server } from './pair.ts';

/** The freezer of a busy machine needs more than one try. */
const PAUSED_MS_MAX = 60_000;

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
    for process in /proc/[0-9]*; do
      grep -qE '${uid}' $process/cgroup 2>/dev/null || continue
      case $(tr '\\0' ' ' <$process/cmdline 2>/dev/null) in
        *tini*) continue ;;
        *fileserver/main.*) ;;
        *) continue ;;
      esac
      kill -KILL \${process#/proc/} || exit 1
      while [ -d $process ]; do sleep 0.05; done
      exit 0
    done
    exit 1`;
  const killed = await succeeds(['docker', 'exec', pod.spec.nodeName, 'sh', '-c', script]);
  if (!killed) throw new Error(`no server process of ${server} was found in ${pod.spec.nodeName}`);
}

/** Freezes a worker node with everything in it: what a hung hypervisor looks like. Nobody gets an error message. */
export async function pauseNode(node: string): Promise<void> {
  await eventually(`${node} is paused`, PAUSED_MS_MAX, () => succeeds(['docker', 'pause', node]));
}

export async function unpauseNode(node: string): Promise<void> {
  await run(['docker', 'unpause', node]);
}
