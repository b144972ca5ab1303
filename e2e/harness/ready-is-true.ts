/**
 * Ready=True must not lie: for each disk set there is the pod that its record names as the holder's, with a server that runs.
 */
import { eventually } from '../../testing/eventually.ts';
import type { DiskSetThing, Pair, Server } from './pair.ts';
import { REQUEST_ANSWERED_MS_MAX } from './timeouts.ts';

/** Fails if Ready stays True for longer than a status takes to be written while a disk set has no owner that runs. */
export async function readyIsTrue(pair: Pair): Promise<void> {
  let unserved: string[] = [];
  await eventually(
    'Ready is True only while every disk set has an owner that runs',
    REQUEST_ANSWERED_MS_MAX,
    async () => {
      unserved = await diskSetsWithoutOwner(pair);
      return !saysReady(pair) || unserved.length === 0;
    },
    () => `Ready is True, but not served: ${unserved.join(' and ')}`,
  );
}

const saysReady = (pair: Pair): boolean =>
  pair.latest?.status?.conditions?.some(({ type, status }) => type === 'Ready' && status === 'True') === true;

async function diskSetsWithoutOwner(pair: Pair): Promise<string[]> {
  const without: string[] = [];
  for (const { spec, status } of await pair.kubectl.list<DiskSetThing>('filerdisksets')) {
    const [server = '', uid] = status?.holder?.split('/') ?? [];
    const pod = server === '' ? undefined : await pair.pod(server as Server).catch(() => undefined);
    const runs = pod?.status.containerStatuses?.some(({ name, ready }) => name === 'server' && ready);
    if (pod?.metadata.uid !== uid || runs !== true) without.push(spec.server);
  }
  return without;
}
