/** Warms up in the network namespace of warm-up.test.ts, and looks what is there afterwards. Prints JSON. */
import { Nftables } from './netlink/nftables.ts';
import { SocketTable } from './netlink/socket-table.ts';
import { TABLE, VIRTUAL_PORT } from './ruleset.ts';
import { warmUp } from './warm-up.ts';

export interface WarmUpResult {
  readonly whole: boolean;
  readonly generations: readonly number[];
  readonly table: 'none' | 'there';
  readonly sockets: number;
}

const nftables = new Nftables();
const before = nftables.generation();
const whole = await warmUp(() => true);
const result: WarmUpResult = {
  whole,
  generations: [before, nftables.generation()],
  table: nftables.elements(2, TABLE, 'addresses') === null ? 'none' : 'there',
  sockets: new SocketTable().list(false, VIRTUAL_PORT).length,
};
process.stdout.write(`${JSON.stringify(result)}\n`);
process.exit(0);
