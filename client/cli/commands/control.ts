import { type Command, CommandError, type Flags, UsageError } from '../command.ts';
import { controlRequest } from '../control-request.ts';
import { statusTable } from '../status-table.ts';

const flags = { control: { type: 'string' }, json: { type: 'boolean' } } as const;
const CONTROL =
  '--control PATH  the control.sock in the runDir of a running server (on its machine or in its pod)';

export const status: Command = {
  name: 'status',
  form: 'status --control SOCKET [--json]',
  summary: 'show who serves which disk set, as a server sees it',
  details: [CONTROL, '--json  as the server says it'],
  flags,
  count: [0, 0],
  async run(_positional, given, _common, world) {
    const reply = await controlRequest(socketOf(given), 'GET', '/status');
    if (reply.status !== 200) throw refused('status', reply.status, reply.body);
    const json = given['json'] === true;
    world.stdout.write(json ? `${JSON.stringify(reply.body, null, 2)}\n` : statusTable(reply.body));
  },
};

export const takeover: Command = {
  name: 'takeover',
  form: 'takeover --control SOCKET',
  summary: "make a server take over its partner's disk set",
  details: [
    CONTROL,
    'The partner stops serving first if it can be reached; its clients come over by themselves.',
  ],
  flags,
  count: [0, 0],
  run: (_positional, given, _common, world) => order('takeover', given, (text) => world.stdout.write(text)),
};

export const giveback: Command = {
  name: 'giveback',
  form: 'giveback --control SOCKET',
  summary: "make a server give its partner's disk set back",
  details: [CONTROL, 'To be told to the server that has taken over, once its partner is back.'],
  flags,
  count: [0, 0],
  run: (_positional, given, _common, world) => order('giveback', given, (text) => world.stdout.write(text)),
};

async function order(
  what: 'takeover' | 'giveback',
  given: Flags,
  print: (text: string) => void,
): Promise<void> {
  const reply = await controlRequest(socketOf(given), 'POST', `/${what}`);
  if (reply.status < 200 || reply.status > 299) throw refused(what, reply.status, reply.body);
  const json = given['json'] === true;
  print(json ? `${JSON.stringify(reply.body, null, 2)}\n` : `${messageOf(reply.body) ?? `${what} done`}\n`);
}

function refused(what: string, status: number, body: unknown): CommandError {
  return new CommandError(`${what} refused: ${messageOf(body) ?? `the server answers ${status}`}`);
}

function messageOf(body: unknown): string | undefined {
  if (typeof body !== 'object' || body === null) return undefined;
  const { message, error } = body as { message?: unknown; error?: unknown };
  if (typeof message === 'string') return message;
  return typeof error === 'string' ? error : undefined;
}

function socketOf(given: Flags): string {
  const path = given['control'];
  if (typeof path !== 'string' || path === '')
    throw new UsageError('which server? name its control socket with --control');
  return path;
}
