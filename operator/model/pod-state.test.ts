import { describe, expect, test } from 'vitest';
import type { NodesSeen } from './node-silence.ts';
import type { Pod } from './objects.ts';
import { podFinding } from './pod-state.ts';

const now = Date.parse('2026-11-23T12:00:00Z');
const node = (
  status: 'True' | 'False' | 'Unknown',
  secondsAgo = 0,
  saysSecondsAgo = secondsAgo,
): NodesSeen => ({
  nodes: {
    'node-1': {
      metadata: { name: 'node-1' },
      status: {
        conditions: [
          { type: 'Ready', status, lastTransitionTime: new Date(now - saysSecondsAgo * 1000).toISOString() },
        ],
      },
    },
  },
  readinessSince: { 'node-1': now - secondsAgo * 1000 },
  nodesGone: {},
});
const noNode = (nodesGone: NodesSeen['nodesGone'] = {}): NodesSeen => ({
  nodes: {},
  readinessSince: {},
  nodesGone,
});
const pod = (status: Pod['status'] = {}, metadata = {}): Pod => ({
  metadata: { name: 'p', ...metadata },
  spec: { nodeName: 'node-1' },
  status: { phase: 'Running', ...status },
});
const container = (status: object) => pod({ containerStatuses: [{ name: 'server', ...status }] });
const find = (one: Pod, nodes = node('True')) => podFinding(one, nodes, 30_000, now);

describe('what a pod is doing', () => {
  test.each<[string, Pod, string, string]>([
    ['ready', container({ ready: true, state: { running: {} } }), 'Running', 'it runs'],
    [
      'not ready yet',
      container({ ready: false, state: { running: {} } }),
      'Starting',
      'its server is not ready yet',
    ],
    [
      'in a crash loop',
      container({
        state: { waiting: { reason: 'CrashLoopBackOff' } },
        lastState: { terminated: { exitCode: 2 } },
      }),
      'Restarting',
      'its server has ended (CrashLoopBackOff) and is started again',
    ],
    [
      'without its image',
      container({ state: { waiting: { reason: 'ErrImagePull', message: 'no such image.' } } }),
      'Pending',
      'its containers are not started yet (ErrImagePull: no such image.)',
    ],
    [
      'that no node takes',
      pod({
        phase: 'Pending',
        conditions: [{ type: 'PodScheduled', status: 'False', message: '0/3 nodes.' }],
      }),
      'Pending',
      'no node takes it: 0/3 nodes',
    ],
    ['evicted', pod({ phase: 'Failed', reason: 'Evicted' }), 'Ended', 'it has ended: Evicted'],
    ['deleted', pod({}, { deletionTimestamp: '2026-11-23T12:00:00Z' }), 'Terminating', 'it is being deleted'],
  ])('%s', (_, one, state, because) => expect(find(one)).toMatchObject({ state, because }));
});

describe('a node that is not ready', () => {
  const running = container({ ready: true, state: { running: {} } });

  test('is waited for', () => {
    const finding = find(running, node('Unknown', 29));
    expect(finding).toMatchObject({ state: 'Running', wakeAt: now + 1000 });
  });

  test('is lost after nodeNotReadyTimeout', () => {
    expect(find(running, node('Unknown', 30))).toMatchObject({
      state: 'NodeLost',
      because: 'its node node-1 has not been ready since 2026-11-23T11:59:30.000Z',
    });
  });

  test('is judged by what was seen here, not by the clock of the writer of its condition', () => {
    expect(find(running, node('Unknown', 1, 3600))).toMatchObject({ state: 'Running' });
    expect(find(running, node('Unknown', 30, -3600))).toMatchObject({ state: 'NodeLost' });
  });

  test('is not lost because the cache lacks it: the API is asked again', () => {
    expect(find(running, noNode())).toMatchObject({ state: 'Running', wakeAt: now + 5000 });
  });

  test('is lost when the API has had no such Node for as long as garbage collection of pods waits', () => {
    const gone = noNode({ 'node-1': now - 39_999 });
    expect(find(running, gone)).toMatchObject({ state: 'Running', wakeAt: now + 1 });
    expect(find(running, noNode({ 'node-1': now - 40_000 }))).toMatchObject({
      state: 'NodeLost',
      because: 'its node node-1 is gone from the cluster',
    });
  });
});

test('order: an ended pod is ended on whatever node; a deleted one is deleted; then the node; then containers', () => {
  const lost = node('Unknown', 3600);
  const deleted = { deletionTimestamp: '2026-11-23T12:00:00Z' };
  expect(find(pod({ phase: 'Failed' }, deleted), lost).state).toBe('Ended');
  expect(find(pod({}, deleted), lost).state).toBe('Terminating');
  expect(find(container({ ready: true, state: { running: {} } }), lost).state).toBe('NodeLost');
});
