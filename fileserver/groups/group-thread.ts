/**
 * Looks up users' groups for the data threads, one after the other, in a thread that does nothing else: however long
 * a name service takes, nobody but those who ask for that user waits.
 */
import { BroadcastChannel, workerData } from 'node:worker_threads';
import { groupsOfUser } from '../system/user-groups.ts';
import type { GroupAnswer, GroupMessage } from './messages.ts';

const { channelName } = workerData as { channelName: string };
const channel = new BroadcastChannel(channelName);

channel.onmessage = (event: unknown): void => {
  const message = (event as { data: GroupMessage }).data;
  if (message.kind === 'question') channel.postMessage(answerTo(message.uid));
};

function answerTo(uid: number): GroupAnswer {
  try {
    return { kind: 'answer', uid, groups: groupsOfUser(uid), error: null };
  } catch (error) {
    return { kind: 'answer', uid, groups: null, error: (error as Error).message };
  }
}
