/** Starts `filerpair node --while-used` twice, ends it once by SIGTERM and once by taking its last address out. Prints JSON. */
import { spawn } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { Nftables, Transaction } from './netlink/nftables.ts';
import { familyNumber, TABLE } from './ruleset.ts';
import { NodeState } from './state.ts';

export interface Ends {
  readonly told: 'ended' | 'runs';
  readonly unused: 'ended' | 'runs';
}

const PATIENCE_MS = 20_000;
const MAIN = join(import.meta.dirname, '../cli/main.ts');
const nftables = new Nftables();

/** `end` is called when the director has its address in the rules. */
async function until(
  end: (pid: number, state: NodeState, virtual: string) => void,
): Promise<'ended' | 'runs'> {
  nftables.commit(new Transaction(familyNumber(false), TABLE).addTable().deleteTable());
  const directory = mkdtempSync(join(tmpdir(), 'filerpair-unused-'));
  const state = new NodeState(directory);
  const { virtual } = state.allocate('nfs://127.0.0.1:1:2/home?failover=127.0.0.1', false);
  const child = spawn(process.execPath, [MAIN, 'node', '--while-used', '--state', directory], {
    stdio: 'ignore',
  });
  const exit = new Promise<'ended'>((resolve) => child.once('exit', () => resolve('ended')));
  while (!nftables.elements(familyNumber(false), TABLE, 'addresses')?.length) await delay(20);
  end(child.pid!, state, virtual);
  const how = await Promise.race([exit, delay(PATIENCE_MS, 'runs' as const)]);
  child.kill('SIGKILL');
  rmSync(directory, { recursive: true });
  return how;
}

const ends: Ends = {
  told: await until((pid) => process.kill(pid, 'SIGTERM')),
  unused: await until((_, state, virtual) => state.remove(virtual)),
};
process.stdout.write(`${JSON.stringify(ends)}\n`);
process.exit(0);
