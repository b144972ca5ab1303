/** The health scripts for Argo CD against statuses as the operator writes them, in a Lua interpreter. */

import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { describe, expect, test } from 'vitest';
import type { Condition } from '../crds/condition.ts';
import { filerPairOperationStatus } from '../crds/filer-pair-operation.ts';
import { filerShareStatus } from '../crds/filer-share.ts';
import { filerPairStatus } from '../crds/pair/status.ts';
import { spec, World } from './plan/world.fixture.ts';

/** What is used of the interpreter, which has no types. */
interface Fengari {
  readonly lua: { readonly LUA_OK: number; readonly lua_tostring: (state: object, at: number) => Uint8Array };
  readonly lauxlib: {
    readonly luaL_newstate: () => object;
    readonly luaL_dostring: (state: object, program: Uint8Array) => number | boolean;
  };
  readonly lualib: { readonly luaL_openlibs: (state: object) => void };
  readonly to_luastring: (text: string) => Uint8Array;
  readonly to_jsstring: (text: Uint8Array) => string;
}
const { lauxlib, lua, lualib, to_jsstring, to_luastring } = createRequire(import.meta.url)(
  'fengari',
) as Fengari;

/** A value as Lua writes it. */
function literal(value: unknown): string {
  if (Array.isArray(value)) return `{${value.map(literal).join(', ')}}`;
  if (typeof value === 'object' && value !== null)
    return `{${Object.entries(value)
      .filter(([, one]) => one !== undefined)
      .map(([key, one]) => `[${JSON.stringify(key)}] = ${literal(one)}`)
      .join(', ')}}`;
  return JSON.stringify(value);
}

/** What Argo CD shows of an object. */
function health(kind: string, object: object): { readonly status: string; readonly message: string } {
  const path = new URL(`../helm/argo-cd/filerpair.dev/${kind}/health.lua`, import.meta.url);
  const program = `obj = ${literal(object)}\nlocal function run()\n${readFileSync(path, 'utf8')}\nend\nlocal its = run()\nreturn its.status, its.message`;
  const state = lauxlib.luaL_newstate();
  lualib.luaL_openlibs(state);
  if (Number(lauxlib.luaL_dostring(state, to_luastring(program))) !== lua.LUA_OK)
    throw new Error(to_jsstring(lua.lua_tostring(state, -1)));
  const [status, message] = [-2, -1].map((at) => to_jsstring(lua.lua_tostring(state, at))) as [
    string,
    string,
  ];
  return { status, message };
}

const pairHealth = (world: World) => health('FilerPair', world.observed.pair!);
const condition = (type: string, status: Condition['status'], generation?: number): Condition => ({
  type,
  status,
  reason: type,
  message: `${type} is ${status}.`,
  lastTransitionTime: '2026-11-23T12:00:00Z',
  ...(generation !== undefined && { observedGeneration: generation }),
});

describe('a FilerPair', () => {
  test('waits for the operator before that has seen it, and while both servers start', () => {
    const world = new World();
    const { metadata } = world.observed.pair!;
    expect(health('FilerPair', { metadata, status: filerPairStatus.parse({}) }).status).toBe('Progressing');
    world.settle();
    expect(pairHealth(world).status).toBe('Progressing');
  });

  test('is healthy when both servers serve, and waits again when its spec changes', () => {
    const world = World.running();
    expect(pairHealth(world)).toMatchObject({ status: 'Healthy' });
    const { metadata } = world.observed.pair!;
    const changed = { ...world.observed.pair!, metadata: { ...metadata, generation: 2 } };
    expect(health('FilerPair', changed).status).toBe('Progressing');
  });

  test('is degraded when its class does not allow it, and says why', () => {
    const world = new World({ ...spec, exposure: { type: 'LoadBalancer' } });
    world.observed.pairClass = {
      metadata: { name: 'none' },
      spec: { allowedNamespaces: { from: 'All' }, limits: {} },
    };
    world.settle();
    expect(pairHealth(world)).toMatchObject({
      status: 'Degraded',
      message: expect.stringContaining('spec.exposure.type'),
    });
  });

  test('is degraded when a server is down, and suspended while it is drained', () => {
    const world = World.running();
    const pod = world.pod('a');
    world.changePod(pod, { status: { ...pod.status, phase: 'Failed' } });
    world.settle();
    expect(pairHealth(world).status).not.toBe('Healthy');
    const drained = World.running();
    const { pair } = drained.observed;
    const maintenance = { reason: 'new disk', drain: ['a'], automaticMoves: 'Allowed' as const };
    drained.observed.pair = { ...pair!, spec: { ...pair!.spec, maintenance } };
    drained.settle();
    drained.claims('a', 'b', 2);
    drained.settle();
    expect(pairHealth(drained)).toMatchObject({
      status: 'Suspended',
      message: expect.stringContaining('new disk'),
    });
  });
});

describe('a FilerShare', () => {
  const share = (generation: number, ...conditions: Condition[]) =>
    health('FilerShare', {
      metadata: { generation },
      status: filerShareStatus.parse(conditions.length === 0 ? {} : { conditions }),
    }).status;

  test.each<[string, string]>([
    ['Progressing', share(1)],
    ['Progressing', share(2, condition('Accepted', 'True', 1), condition('Ready', 'True', 1))],
    ['Healthy', share(1, condition('Accepted', 'True', 1), condition('Ready', 'True', 1))],
    ['Degraded', share(1, condition('Accepted', 'True', 1), condition('Ready', 'False', 1))],
    ['Degraded', share(1, condition('Accepted', 'False', 1), condition('Ready', 'Unknown'))],
  ])('is %s', (expected, found) => expect(found).toBe(expected));
});

describe('a FilerPairOperation', () => {
  const operation = (...conditions: Condition[]) =>
    health('FilerPairOperation', {
      metadata: { generation: 1 },
      status: filerPairOperationStatus.parse(conditions.length === 0 ? {} : { conditions }),
    });

  test('is waited for until it is complete or has failed', () => {
    expect(operation().status).toBe('Progressing');
    expect(operation(condition('Complete', 'True'), condition('Failed', 'False')).status).toBe('Healthy');
    expect(operation(condition('Complete', 'False'), condition('Failed', 'True'))).toEqual({
      status: 'Degraded',
      message: 'Failed is True.',
    });
  });

  test('is healthy where it is in Git and was carried out before', () => {
    const again = { ...condition('Failed', 'True'), reason: 'AlreadyCarriedOut' };
    expect(operation(condition('Complete', 'False'), again).status).toBe('Healthy');
  });
});
