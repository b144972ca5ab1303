/** Whether an owner lives is told by its kubelet, and on a silent node by what its partner does not do. */

import { beforeEach, describe, expect, test } from 'vitest';
import { leaseAnnotations } from '../../kubernetes/labels-and-annotations.ts';
import type { ServerView } from '../model/view.ts';
import { World } from '../plan/world.fixture.ts';
import { isProvenAlive, nodesOfLiving, ownerLife, runningPartners, whyNoTakeover } from './owner-life.ts';

let world: World;

beforeEach(() => {
  world = World.running();
});

const home = (): ServerView => world.view().servers[0];
const life = () => ownerLife(world.view(), home());
const whyNot = () => whyNoTakeover(world.view(), home());
const podUid = (server: string) => world.pod(server).metadata.uid!;

describe('by the word of its kubelet an owner', () => {
  test('is alive while its container runs, ready or not', () => {
    expect(life()).toBe('alive');
    world.runs('a', false);
    expect(life()).toBe('alive');
  });

  test('is restarting when its container has ended, or is not started', () => {
    world.container('a', { terminated: { exitCode: 1, reason: 'Error' } });
    expect(life()).toBe('restarting');
    world.container('a', { waiting: { reason: 'ContainerCreating' } });
    expect(life()).toBe('restarting');
  });

  test('is gone with its pod, or when that has ended', () => {
    const pod = world.pod('a');
    world.changePod(pod, { status: { ...pod.status, phase: 'Failed' } });
    expect(life()).toBe('gone');
    world.remove('pods', pod.metadata.name!);
    expect(life()).toBe('gone');
  });
});

describe('on a silent node an owner', () => {
  beforeEach(() => world.node('node-1', 'Unknown', world.now));

  test('is alive while its partner runs and would have taken over', () => {
    expect(life()).toBe('alive');
    expect(isProvenAlive(world.view(), podUid('a'))).toBe(true);
    expect([...nodesOfLiving(world.view())]).toContain('node-1');
  });

  test('is unreachable when its partner would not have noticed', () => {
    world.container('b', { terminated: { exitCode: 1 } });
    expect(life()).toBe('unreachable');
    expect(isProvenAlive(world.view(), podUid('a'))).toBe(false);
    expect([...nodesOfLiving(world.view())]).not.toContain('node-1');
  });
});

describe('a partner does not take over by itself', () => {
  test('what it would take over: nothing keeps it', () => {
    expect(whyNot()).toBeNull();
  });

  test('what nobody of this pair owns, or has no Lease', () => {
    world.changeLease('a', { holderIdentity: 'c/uid/run' });
    expect(whyNot()).toBe('the owner is not a server of this pair');
    world.remove('leases', 'home.a');
    expect(whyNot()).toBe('the owner is not a server of this pair');
  });

  test('while it does not run', () => {
    world.container('b', { terminated: { exitCode: 1 } });
    expect(whyNot()).toBe('b does not run');
  });

  test('when it is not the run that acknowledges; one that is not named has not been asked yet', () => {
    world.changeLease('a', {}, { [leaseAnnotations.acknowledger]: 'b/uid-of-an-earlier-pod/run' });
    expect(whyNot()).toBe('the run of b that the Lease names as acknowledger is gone');
    world.changeLease('a', {}, { [leaseAnnotations.acknowledger]: null });
    expect(whyNot()).toBeNull();
  });

  test('when it says that it cannot; what the owner says of itself means nothing', () => {
    const says = (server: string, possible: boolean): void => {
      const missing = possible ? [] : [{ name: 'volume', message: 'data cannot be read' }];
      const check = { server, possible, missing };
      world.changeLease('a', {}, { [leaseAnnotations.takeoverCheck]: JSON.stringify(check) });
    };
    says('b', false);
    expect(whyNot()).toBe('b says that it cannot');
    says('b', true);
    expect(whyNot()).toBeNull();
    says('a', false);
    expect(whyNot()).toBeNull();
  });
});

test('a partner runs by the word of a kubelet that reports, and of no other', () => {
  const names = () => runningPartners(world.view(), home()).map(({ pod }) => pod.metadata.uid);
  expect(names()).toEqual([podUid('b')]);
  world.runs('b', false);
  expect(names()).toEqual([]);
  world.runs('b');
  world.node('node-2', 'Unknown', world.now);
  expect(names()).toEqual([]);
});
