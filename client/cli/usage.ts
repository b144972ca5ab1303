// The texts of `filerpair help`.
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

Exit code: 0 done, 1 failed, 2 wrong command line, 130 interrupted.
`;
}

export function commandUsage(command: Command): string {
  const details = command.details.map((line) => `  ${line}\n`).join('');
  return `usage: filerpair ${command.form}\n\n${command.summary}\n${details === '' ? '' : `\n${details}`}`;
}
