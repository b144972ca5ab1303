/**
 * Scenarios with a client outside the cluster: the server's process dies, the client follows by name, the disk set fails back.
 * Shares are for that one client's address: whatever rewrites it on the way in shuts the client out.
 */
import { expect } from 'vitest';
import { readEnvironment } from '../environment.ts';
import { killServerProcess } from '../harness/faults/processes.ts';
import type { ScenarioFrame, Stage } from '../harness/scenario.ts';
import { LINES_AFTERWARDS, PARTNER, SERVER, scenario } from '../harness/scenario.ts';
import { step } from '../harness/step.ts';
import { SERVER_BACK_MS_MAX, WRITER_FINISHED_MS_MAX } from '../harness/timeouts.ts';
import { NamesPair, type NamesSettings } from './names-pair.ts';
import { OutsideClient } from './outside-client.ts';

export interface OutsideScenario extends NamesSettings {
  readonly name: string;
  /** Says in a sentence how the client gets in. */
  readonly way: string;
  /** From when the pair is made: what the network outside does by itself. */
  readonly follow?: (pair: NamesPair) => void;
  /** Once the pair is ready, before the client starts to write: what the network outside has to do. */
  readonly leadIn?: (pair: NamesPair, client: OutsideClient) => Promise<void>;
  /** Everything else that is to be seen on this way. */
  readonly afterwards?: (pair: NamesPair, client: OutsideClient) => Promise<void>;
  readonly cleanUp?: () => Promise<void>;
}

export function outsideScenario(outside: OutsideScenario): void {
  let client: OutsideClient | undefined;
  const frame: ScenarioFrame = {
    name: outside.name,
    fault: `the server process is killed; the client is outside the cluster and comes in by ${outside.way}`,
    gapMsGoal: 500,
    replaces: [],
    makePair: (environment, namespace) => new NamesPair(environment, namespace, outside),
    prepare: async (pair) => {
      client = await OutsideClient.create(readEnvironment());
      (pair as NamesPair).clients = [`${client.address}/32`];
      outside.follow?.(pair as NamesPair);
    },
    makeClient: async (pair) => {
      await step('the DNS answers all four names', () => (pair as NamesPair).published());
      await outside.leadIn?.(pair as NamesPair, client!);
      return client!;
    },
    cleanUp: async () => {
      await outside.cleanUp?.();
      await client?.remove();
    },
  };
  scenario(frame, `a client outside the cluster follows a failover by ${outside.way}`, async (stage) => {
    await play(stage);
    await outside.afterwards?.(stage.pair as NamesPair, client!);
    await stage.writer.writes(LINES_AFTERWARDS, WRITER_FINISHED_MS_MAX);
  });
}

async function play({ pair: anyPair, writer, noteIdentity }: Stage): Promise<void> {
  const pair = anyPair as NamesPair;
  await step('the status says that servers see the addresses of clients', () =>
    pair.conditionSays('ClientAddressesKept', 'Kept', WRITER_FINISHED_MS_MAX),
  );
  const serial = await pair.zoneSerial();
  await writer.mark('failover');
  await step('the server process is killed', () => killServerProcess(pair, SERVER));
  await step(`${PARTNER} serves the disk set of ${SERVER}`, () =>
    pair.servedBy(SERVER, PARTNER, WRITER_FINISHED_MS_MAX),
  );
  await step('the writer is served again', () => writer.writes(LINES_AFTERWARDS, WRITER_FINISHED_MS_MAX));
  await noteIdentity();
  await step(`${SERVER} is whole again`, () => pair.takeoverPossible(SERVER_BACK_MS_MAX));
  await writer.mark('giveback');
  await step('giveback is asked for', () => pair.request('giveback', SERVER));
  await step('the writer is served again', () => writer.writes(LINES_AFTERWARDS, WRITER_FINISHED_MS_MAX));
  expect(await pair.zoneSerial(), 'serial of the zone').toBe(serial);
}
