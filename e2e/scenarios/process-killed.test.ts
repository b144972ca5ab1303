/**
 * SIGKILL of the server process. The sentinel sees it die and tells the partner at once: no timeout is involved. Then the person
 * on call finds the cause and gives back, by the commands of the alerts' pages.
 */
import { expect } from 'vitest';
import { readEnvironment } from '../environment.ts';
import { failoverScenario } from '../harness/failover-scenario.ts';
import { killServerProcess } from '../harness/faults/processes.ts';
import { PAIR, type Pair, type Server } from '../harness/pair.ts';
import { alerts, commandsIn, rowsOf, Shell, section } from '../harness/runbook.ts';
import { step } from '../harness/step.ts';
import { SERVER_BACK_MS_MAX } from '../harness/timeouts.ts';

/** They need an image, or a service that the cluster of the tests does not have. */
const NOT_HERE = /^kubectl (debug|.* top) /;

const shell = new Shell(readEnvironment());

async function types(pair: Pair, server: Server, line: string): Promise<string> {
  const placeholders = {
    NAMESPACE: pair.namespace,
    PAIR,
    SERVER: server,
    'SERVER-POD': (await pair.pod(server)).metadata.name,
  };
  const { code, stdout, stderr } = await shell.type(line, placeholders);
  expect(code, `${line}: ${stderr}`).toBe(0);
  return stdout;
}

async function looksInto(pair: Pair, server: Server): Promise<void> {
  const [status, logs, ...others] = commandsIn(section('FilerPairFailover', 'Look first'));
  expect(others).toEqual([]);
  const told = await types(pair, server, status!);
  const causes = rowsOf(section('FilerPairFailover', 'What to do'));
  expect(causes).toContain('PartnerSaidSo');
  expect(
    causes.filter((cause) => told.includes(cause)),
    told,
  ).not.toEqual([]);
  // The process was killed: it had no last words. What it did before stands there.
  expect(await types(pair, server, logs!)).toMatch(/serv/i);
}

async function triesEveryPage(pair: Pair, server: Server): Promise<void> {
  const lines = new Set(alerts().flatMap((alert) => commandsIn(section(alert, 'Look first'))));
  expect(lines.size).toBeGreaterThan(12);
  for (const line of lines) if (!NOT_HERE.test(line)) await types(pair, server, line);
}

failoverScenario({
  name: 'process-killed',
  fault: 'the server process is killed',
  inject: killServerProcess,
  gapMsGoal: 500,
  repair: async (pair, server) => {
    await pair.takeoverPossible(SERVER_BACK_MS_MAX);
    await step('the runbook leads to the cause', () => looksInto(pair, server));
    await step('the commands of all runbooks work', () => triesEveryPage(pair, server));
  },
  giveBack: async (pair, server) => {
    const [giveback] = commandsIn(section('FilerPairAwayFromHome', 'What to do'));
    await types(pair, server, giveback!);
  },
  replacesPod: false,
  cleanUp: async () => shell.close(),
});
