/** filerpair status, takeover, giveback: what a server says of the pair, and what an administrator asks of it. */
import {
  type Command,
  CommandError,
  type Flags,
  type Options,
  type Surroundings,
  UsageError,
} from '../command.ts';
import { controlRequest } from '../control-request.ts';
import { show } from '../output.ts';
import { statusTable } from '../status-table.ts';
import { oneLine } from '../terminal.ts';

const CONTROL: Options = {
  control: {
    value: 'SOCKET',
    help: 'control.sock in the runDir of a running server, on its machine or in its pod',
    completes: 'file',
  },
};
const ORDER: Options = {
  ...CONTROL,
  home: { value: 'SERVER', help: 'disk set to move (default: the one that can move)' },
  reason: { value: 'TEXT', help: "for the server's log" },
};

export const status: Command = {
  name: 'status',
  summary: 'show who serves which disk set, as a server sees it',
  group: 'Servers',
  target: 'other',
  operands: [],
  options: CONTROL,
  lists: true,
  async run(_positional, given, _common, world) {
    const reply = await controlRequest(socketOf(given), '/status');
    if (reply.status !== 200) throw refused('status', reply.status, reply.body);
    show(world.stdout, given, { value: reply.body, table: () => statusTable(reply.body) });
  },
};

export const takeover: Command = {
  name: 'takeover',
  summary: 'have a server hand its disk set to its partner, for maintenance',
  group: 'Servers',
  target: 'other',
  operands: [],
  details: [
    'Run against the server to take out of service. It finishes what runs, its partner takes over, its clients follow.',
  ],
  options: ORDER,
  lists: true,
  run: (_positional, given, _common, world) => order('takeover', given, world),
};

export const giveback: Command = {
  name: 'giveback',
  summary: "have a server give its partner's disk set back",
  group: 'Servers',
  target: 'other',
  operands: [],
  details: ['Run against the server that has taken over, once its partner is back.'],
  options: ORDER,
  lists: true,
  run: (_positional, given, _common, world) => order('giveback', given, world),
};

async function order(what: 'takeover' | 'giveback', given: Flags, world: Surroundings): Promise<void> {
  const { home, reason } = given;
  const reply = await controlRequest(socketOf(given), `/${what}`, { home, reason });
  if (reply.status !== 200) throw refused(what, reply.status, reply.body);
  show(world.stdout, given, {
    value: reply.body,
    table: () => `${oneLine(messageOf(reply.body) ?? `${what} done`)}\n`,
  });
}

function refused(what: string, status: number, body: unknown): CommandError {
  return new CommandError(`${what} refused: ${messageOf(body) ?? `the server answers ${status}`}`);
}

function messageOf(body: unknown): string | undefined {
  if (typeof body === 'string' && body.trim() !== '') return body.trim();
  const message = (body as { message?: unknown } | null | undefined)?.message;
  return typeof message === 'string' ? message : undefined;
}

function socketOf(given: Flags): string {
  const path = given['control'];
  if (typeof path !== 'string' || path === '') {
    throw new UsageError('missing option: --control SOCKET names the server');
  }
  return path;
}
