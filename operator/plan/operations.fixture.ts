/** FilerPairOperations in a World, for tests. */

import type { FilerPairOperationSpec } from '../../crds/filer-pair-operation.ts';
import { leaseAnnotations, type RequestAnnotation } from '../../kubernetes/labels-and-annotations.ts';
import type { FilerPairOperationObject } from '../model/objects.ts';
import type { World } from './world.fixture.ts';

type Asked = Omit<FilerPairOperationSpec, 'pairRef'>;

let made = 0;

/** Somebody creates one; later ones are younger. One of the same name has been deleted before. */
export function ask(world: World, name: string, asked: Asked): void {
  made++;
  const operation: FilerPairOperationObject = {
    metadata: {
      name,
      namespace: 'storage',
      uid: `uid-${made}`,
      generation: 1,
      creationTimestamp: new Date(world.now + made).toISOString(),
    },
    spec: { pairRef: { name: world.observed.name }, ...asked },
  };
  withdraw(world, name);
  world.observed.filerPairOperations = [...world.observed.filerPairOperations, operation];
}

/** For a move of a disk set. */
export const asksFor = (
  world: World,
  kind: 'takeover' | 'giveback',
  server: string,
  name = `${kind}-${server}`,
): void => ask(world, name, { type: kind === 'takeover' ? 'Takeover' : 'Giveback', [kind]: { server } });

/** Somebody deletes it. */
export function withdraw(world: World, name: string): void {
  world.observed.filerPairOperations = world.observed.filerPairOperations.filter(
    ({ metadata }) => metadata.name !== name,
  );
}

export const operationNamed = (world: World, name: string): FilerPairOperationObject =>
  world.observed.filerPairOperations.find(({ metadata }) => metadata.name === name)!;

/** `Complete/TakenOver`, `Failed/Refused`, `waits/Queued`, or undefined before anybody has looked. */
export function stateOf(world: World, name: string): string | undefined {
  const { conditions } = operationNamed(world, name).status ?? {};
  const holds = conditions?.find(({ status }) => status === 'True');
  const reason = conditions?.[0]?.reason;
  return conditions === undefined ? undefined : `${holds?.type ?? 'waits'}/${reason}`;
}

export const messageOf = (world: World, name: string): string =>
  operationNamed(world, name).status?.conditions?.[0]?.message ?? '';

/** What is on the Lease of a disk set. */
export function requestOn(world: World, server: string): RequestAnnotation | null {
  const text = world.lease(server).metadata.annotations?.[leaseAnnotations.request];
  return text === undefined ? null : (JSON.parse(text) as RequestAnnotation);
}

/** The servers' answer to what is on the Lease. */
export function answerRequest(
  world: World,
  server: string,
  result: 'done' | 'refused',
  message: string,
): void {
  const { id } = requestOn(world, server)!;
  world.changeLease(
    server,
    {},
    { [leaseAnnotations.requestResult]: JSON.stringify({ id, result, message }) },
  );
}
