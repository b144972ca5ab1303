import { describe, expect, test } from 'vitest';
import { leaseAnnotations } from '../../kubernetes/labels-and-annotations.ts';
import { World } from '../plan/world.fixture.ts';
import { failoverEndpoint } from './failover-endpoint.ts';

/** What the operator wants the slice of a's failover name to show; null: leaves it alone. */
const wanted = (world: World) => {
  const view = world.view();
  const slice =
    world.observed.endpointSlices.find(({ metadata }) => metadata.name === 'home-a-failover') ?? null;
  return failoverEndpoint(view, view.servers[0], slice);
};
const HOME = '10.0.0.2';
const NODE_NAME = 'node-2';

describe('while the home server owns its disk set', () => {
  test('the gate is closed, with the partner’s address behind it', () => {
    const world = World.running();
    world.gate('a', 0, true, '10.0.0.9');
    expect(wanted(world)).toEqual({ epoch: 1, open: false, address: HOME, nodeName: NODE_NAME });
    world.gate('a', 1, false, HOME);
    expect(wanted(world)).toBeNull();
  });

  test('a gate that a server has opened for a later epoch is left alone: the Lease that we see is old', () => {
    const world = World.running();
    world.gate('a', 2, true, HOME);
    expect(wanted(world)).toBeNull();
  });

  test('but not one that leads to a pod which is gone: its claim never came', () => {
    const world = World.running();
    world.gate('a', 2, true, '10.0.0.77');
    expect(wanted(world)).toEqual({ epoch: 1, open: false, address: HOME, nodeName: NODE_NAME });
  });

  test('a server that does not know its node leaves it to the operator: Local Services go by it', () => {
    const world = World.running();
    world.gate('a', 1, false, HOME);
    world.observed.endpointSlices = world.observed.endpointSlices.map((slice) => ({
      ...slice,
      endpoints: slice.endpoints!.map(({ nodeName: _, ...endpoint }) => endpoint),
    }));
    expect(wanted(world)).toEqual({ epoch: 1, open: false, address: HOME, nodeName: NODE_NAME });
  });

  test('the address follows a partner’s new pod', () => {
    const world = World.running();
    world.gate('a', 1, false, '10.0.0.77');
    expect(wanted(world)).toEqual({ epoch: 1, open: false, address: HOME, nodeName: NODE_NAME });
  });
});

describe('while the partner owns it', () => {
  const takenOver = (): World => {
    const world = World.running();
    world.claims('b', 'a', 2);
    return world;
  };

  test('the gate is opened once the partner says that its port is open for this epoch', () => {
    const world = takenOver();
    world.gate('a', 1, false, HOME);
    expect(wanted(world)).toEqual({ epoch: 2, open: true, address: HOME, nodeName: NODE_NAME });
  });

  test('before that it is not opened', () => {
    const world = takenOver();
    world.changeLease('a', {}, { [leaseAnnotations.secondaryPortOpen]: '1' });
    world.gate('a', 1, false, HOME);
    expect(wanted(world)).toEqual({ epoch: 2, open: false, address: HOME, nodeName: NODE_NAME });
  });

  test('what the partner wrote for this epoch stands: open before its word on the Lease, closed after it', () => {
    const world = takenOver();
    world.changeLease('a', {}, { [leaseAnnotations.secondaryPortOpen]: null });
    world.gate('a', 2, true, HOME);
    expect(wanted(world)).toBeNull();
    world.changeLease('a', {}, { [leaseAnnotations.secondaryPortOpen]: '2' });
    world.gate('a', 2, false, HOME);
    expect(wanted(world)).toBeNull();
  });

  test('after its release the gate is closed', () => {
    const world = takenOver();
    world.gate('a', 2, true, HOME);
    const { lease } = world.view().servers[0];
    const { holderIdentity: _, ...spec } = lease!.object.spec!;
    world.observed.leases = world.observed.leases.map((one) =>
      one === lease!.object ? { ...one, spec } : one,
    );
    expect(wanted(world)).toEqual({ epoch: 2, open: false, address: HOME, nodeName: NODE_NAME });
  });

  test('a partner whose pod has no address cannot be led to', () => {
    const world = takenOver();
    const pod = world.pod('b');
    const { podIP: _, ...status } = pod.status!;
    world.changePod(pod, { status });
    world.gate('a', 1, false, HOME);
    expect(wanted(world)).toEqual({ epoch: 2, open: false, address: null, nodeName: null });
  });
});
