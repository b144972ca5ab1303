/** A change of the spec that needs new pods: what it is, and when it has reached both servers. */
import { eventually } from '../../testing/eventually.ts';
import { say } from '../machine/stage.ts';
import { PAIR, type Pair, SERVERS, type Server } from './pair.ts';

/** Two pods, one after the other, each with two hand-overs. */
const ROLLED_OUT_MS_MAX = 4 * 60_000;

/** What a new image, other resources or other lease times come down to. `more`: further JSON patch operations. */
export async function changePods(pair: Pair, memory: string, more: readonly object[] = []): Promise<void> {
  const path = '/spec/podTemplate/spec/containers/0/resources/requests/memory';
  const patch = JSON.stringify([...more, { op: 'add', path, value: memory }]);
  await pair.kubectl.run('patch', 'filerpair', PAIR, '--type=json', `--patch=${patch}`);
}

const rolloutState = (pair: Pair): string | undefined => pair.latest?.status?.rollout?.step;

/** Returns the states that the rollout went through, when it has come and gone and both servers have new pods. */
export async function rolledOut(pair: Pair, before: readonly string[]): Promise<ReadonlySet<string>> {
  const states = new Set<string>();
  await eventually(
    'both servers have new pods, and their disk sets',
    ROLLED_OUT_MS_MAX,
    async () => {
      const state = rolloutState(pair);
      if (state !== undefined) states.add(state);
      const now = await podsOf(pair).catch(() => before);
      const replaced = now.every((uid, index) => uid !== before[index]);
      if (state !== undefined || !replaced) return false;
      const away = SERVERS.find((server) => pair.ownerOf(server) !== server);
      if (away !== undefined) await broughtHome(pair, away);
      return away === undefined;
    },
    () => `status is ${JSON.stringify(pair.latest?.status ?? {}, null, 1)}`,
  );
  return states;
}

/**
 * On a machine that is too busy a server may get no processor for the length of its lease while the other one's pod starts.
 * Its death is no part of the rollout, so the rollout gives nothing back; an administrator does.
 */
async function broughtHome(pair: Pair, server: Server): Promise<void> {
  say(`  ${server} died meanwhile: giveback is asked for`);
  // Refused while its partner is still being replaced, say; it is asked again at the next look.
  await pair.request('giveback', server).catch(() => undefined);
}

/** UIDs, in the order of SERVERS. */
export function podsOf(pair: Pair): Promise<string[]> {
  return Promise.all(SERVERS.map(async (server) => (await pair.pod(server)).metadata.uid));
}
