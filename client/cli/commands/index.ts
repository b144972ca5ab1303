/** All commands of filerpair, by name. */
// All commands, in the order in which the help lists them.
import type { Command } from '../command.ts';
import { cat } from './cat.ts';
import { giveback, status, takeover } from './control.ts';
import { cp, put } from './cp.ts';
import { ls } from './ls.ts';
import { mkdir } from './mkdir.ts';
import { mv } from './mv.ts';
import { proxy } from './proxy.ts';
import { rm } from './rm.ts';
import { stat } from './stat.ts';

export const COMMANDS: readonly Command[] = [
  ls,
  cat,
  cp,
  put,
  mv,
  rm,
  mkdir,
  stat,
  proxy,
  status,
  takeover,
  giveback,
];
