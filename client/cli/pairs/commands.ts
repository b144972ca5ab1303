/** kubectl filerpair: what an administrator does with the pairs of a cluster. */
import type { Command } from '../command.ts';
import { bundle } from './bundle-command.ts';
import { drill } from './drill-command.ts';
import { exportPair } from './export-command.ts';
import { drain, pause, resume, rollout, undrain } from './maintenance-commands.ts';
import { giveback, recreateClaim, snapshot, takeover } from './operation-commands.ts';
import { check, events, shares, status } from './status-command.ts';
import { ui } from './ui-command.ts';

/** In the order in which the help lists them. */
export const PAIR_COMMANDS: readonly Command[] = [
  status,
  check,
  shares,
  ui,
  drain,
  undrain,
  takeover,
  giveback,
  drill,
  snapshot,
  recreateClaim,
  pause,
  resume,
  rollout,
  events,
  bundle,
  exportPair,
];
