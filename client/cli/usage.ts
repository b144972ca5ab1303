/** The texts of `filerpair help`. */
import type { Command } from './command.ts';
import { table } from './listing.ts';

export function usage(commands: readonly Command[]): string {
  const rows = commands.map((each) => [`  ${each.form}`, each.summary]);
  return `filerpair - files on a pair of servers that cover for each other

${table(rows)}
URL is nfs://SERVER[:PRIMARY[:SECONDARY]]/EXPORT/PATH. The ports default to 2049 and 2050. While SERVER does not
serve, its partner is asked at the failover name (SERVER-failover) and the secondary port; nothing has to be said.
Options after a ?: failover=HOST (partner's address, where SERVER is an address), suffix=TEXT (instead of
-failover), alone (no partner), uid=N, gid=N, mountport=N (a plain NFS server with a port of its own for MOUNT).

  --uid N, --gid N   act as this user (default: yours)
  --timeout SECONDS  longest wait for one answer (default 60; 0: through any outage)
  -v, --verbose      say when the connection moves
  -h, --help         this text; filerpair help COMMAND for one command

filerpair pairs help lists what can be done with the FilerPairs of a Kubernetes cluster.
Exit code: 0 done, 1 failed, 2 wrong command line, 130 interrupted.
`;
}

export function pairsUsage(commands: readonly Command[]): string {
  const rows = commands.map((each) => [`  ${each.form}`, each.summary]);
  return `kubectl filerpair - the FilerPairs of a cluster

${table(rows)}
  -n, --namespace NAME   namespace of the pair (default: that of the context)
  --kubeconfig FILE, --context NAME   as kubectl understands them
  --timeout SECONDS      longest wait for an answer (default 60)
  -h, --help             this text; kubectl filerpair help COMMAND for one command

Where there is no program kubectl-filerpair on the PATH, "filerpair pairs COMMAND" is the same.
Exit code: 0 done, 1 failed or refused, 2 wrong command line.
`;
}

export function commandUsage(program: string, command: Command): string {
  const details = command.details.map((line) => `  ${line}\n`).join('');
  return `usage: ${program} ${command.form}\n\n${command.summary}\n${details === '' ? '' : `\n${details}`}`;
}
