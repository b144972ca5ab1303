/** Signals to the processes of a pair, found in their node by their pod's UID (in the cgroup) and their program. */
import { run } from '../../machine/command.ts';
import type { Pair, Server } from '../pair.ts';

export type Program = 'server' | 'sentinel';

const PROGRAM_FILE: Readonly<Record<Program, string>> = {
  server: 'fileserver/main.js',
  sentinel: 'fileserver/sentinel/main.js',
};

/** A process in a node, as the node counts processes. */
export interface NodeProcess {
  readonly node: string;
  readonly pid: string;
}

export async function findProcess(pair: Pair, server: Server, program: Program): Promise<NodeProcess> {
  const pod = await pair.pod(server);
  const uid = pod.metadata.uid.replaceAll('-', '[-_]');
  const script = `
    for process in /proc/[0-9]*; do
      grep -qE '${uid}' $process/cgroup 2>/dev/null || continue
      case $(tr '\\0' ' ' <$process/cmdline 2>/dev/null) in
        *tini*) continue ;;
        *${PROGRAM_FILE[program]}*) ;;
        *) continue ;;
      esac
      echo \${process#/proc/}
      exit 0
    done
    echo 'no ${program} process of ${server} was found' >&2
    exit 1`;
  const pid = await run(['docker', 'exec', pod.spec.nodeName, 'sh', '-c', script]);
  return { node: pod.spec.nodeName, pid: pid.trim() };
}

/** The same signal to several processes of one node in one moment. */
export async function signal(
  name: 'KILL' | 'STOP' | 'CONT',
  ...processes: readonly NodeProcess[]
): Promise<void> {
  const { node } = processes[0]!;
  await run(['docker', 'exec', node, 'kill', `-${name}`, ...processes.map(({ pid }) => pid)]);
}

/** SIGKILL of the server process and nothing else: the sentinel in the same pod lives on. */
export async function killServerProcess(pair: Pair, server: Server): Promise<void> {
  await signal('KILL', await findProcess(pair, server, 'server'));
}

/**
 * As a container that has used up its memory ends: the kernel's out-of-memory killer. The limit of the server's cgroup is set
 * just above what it uses, and another process in there takes the rest. The killer is told which process to choose, as it would
 * choose by itself if the server had grown.
 */
export async function exhaustMemory(pair: Pair, server: Server): Promise<void> {
  const { node, pid } = await findProcess(pair, server, 'server');
  // cgroup v2 has one hierarchy, v1 one for memory.
  const script = `
    if [ -e /sys/fs/cgroup/cgroup.controllers ]; then
      group=/sys/fs/cgroup$(sed -n 's/^0:://p' /proc/${pid}/cgroup) usage=memory.current limit=memory.max
    else
      group=/sys/fs/cgroup/memory$(sed -n 's/^[0-9]*:memory://p' /proc/${pid}/cgroup)
      usage=memory.usage_in_bytes limit=memory.limit_in_bytes
    fi
    echo 1000 >/proc/${pid}/oom_score_adj
    echo $(($(cat $group/$usage) + (32 << 20))) >$group/$limit || exit 1
    (echo $BASHPID >$group/cgroup.procs; head -c 1G /dev/zero | tail >/dev/null) &
    while [ -d /proc/${pid} ]; do sleep 0.02; done
    kill $! 2>/dev/null || true`;
  await run(['docker', 'exec', node, 'timeout', '20', 'bash', '-c', script]);
}
