/** filerpair status, takeover, giveback: what a server says of the pair, and what an administrator asks of it. */
import { type Command, CommandError, type Flags, type Surroundings, UsageError } from '../command.ts';
import { controlRequest } from '../control-request.ts';
import { statusTable } from '../status-table.ts';

const CONTROL =
  '--control SOCKET  control.sock in the runDir of a running server, on its machine or in its pod';
const JSON_FLAG = '--json            as the server says it';
const flags = { control: { type: 'string' }, json: { type: 'boolean' } } as const;
const orderFlags = { ...flags, home: { type: 'string' }, reason: { type: 'string' } } as const;
const ORDER = [
  '--home SERVER     whose disk set, if not the one that is usually meant',
  "--reason TEXT     for the server's log",
];

export const status: Command = {
  name: 'status',
  form: 'status --control SOCKET [--json]',
  summary: 'show who serves which disk set, as a server sees it',
  details: [CONTROL, JSON_FLAG],
  flags,
  count: [0, 0],
  async run(_positional, given, _common, world) {
    const reply = await controlRequest(socketOf(given), '/status');
    if (reply.status !== 200) throw refused('status', reply.status, reply.body);
    world.stdout.write(given['json'] === true ? json(reply.body) : statusTable(reply.body));
  },
};

export const takeover: Command = {
  name: 'takeover',
  form: 'takeover --control SOCKET',
  summary: 'have a server hand its disk set to its partner, for maintenance',
  details: [
    'Asked of the server that shall rest. It finishes what runs, its partner takes over, its clients follow.',
    CONTROL,
    ...ORDER,
    JSON_FLAG,
  ],
  flags: orderFlags,
  count: [0, 0],
  run: (_positional, given, _common, world) => order('takeover', given, world),
};

export const giveback: Command = {
  name: 'giveback',
  form: 'giveback --control SOCKET',
  summary: "have a server give its partner's disk set back",
  details: [
    'Asked of the server that has taken over, once its partner is back.',
    CONTROL,
    ...ORDER,
    JSON_FLAG,
  ],
  flags: orderFlags,
  count: [0, 0],
  run: (_positional, given, _common, world) => order('giveback', given, world),
};

async function order(what: 'takeover' | 'giveback', given: Flags, world: Surroundings): Promise<void> {
  const { home, reason } = given;
  const reply = await controlRequest(socketOf(given), `/${what}`, { home, reason });
  if (reply.status !== 200) throw refused(what, reply.status, reply.body);
  if (given['json'] === true) world.stdout.write(json(reply.body));
  else world.stdout.line(messageOf(reply.body) ?? `${what} done`);
}

function refused(what: string, status: number, body: unknown): CommandError {
  return new CommandError(`${what} refused: ${messageOf(body) ?? `the server answers ${status}`}`);
}

function messageOf(body: unknown): string | undefined {
  if (typeof body === 'string' && body.trim() !== '') return body.trim();
  const message = (body as { message?: unknown } | null | undefined)?.message;
  return typeof message === 'string' ? message : undefined;
}

function json(body: unknown): string {
  return `${JSON.stringify(body, null, 2)}\n`;
}

function socketOf(given: Flags): string {
  const path = given['control'];
  if (typeof path !== 'string' || path === '') {
    throw new UsageError('which server? name its control socket with --control');
  }
  return path;
}
