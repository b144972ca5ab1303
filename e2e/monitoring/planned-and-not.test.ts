/**
 * A real Prometheus with the chart's rules, two operators and a pair. A takeover that was asked for raises no alert of a failover; one
 * after a kill does, the first time. Two operators count once.
 */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { pause } from '../../testing/pause.ts';
import { OPERATOR_NAMESPACE } from '../application/chart.ts';
import { REPOSITORY, readEnvironment, readPrometheusPrograms, type TestEnvironment } from '../environment.ts';
import { killServerProcess } from '../harness/faults/processes.ts';
import { Kubectl, type Thing } from '../harness/kubectl.ts';
import { PAIR, Pair } from '../harness/pair.ts';
import { step } from '../harness/step.ts';
import { SERVER_BACK_MS_MAX, WRITER_FINISHED_MS_MAX } from '../harness/timeouts.ts';
import { Prometheus, type ScrapedPod } from './prometheus.ts';
import { RECORDED_TAKEOVERS, recordingOf, type TimedMoment, writeRecording } from './recording.ts';

interface EventThing extends Thing {
  readonly type: string;
  readonly reason: string;
  readonly note?: string;
  readonly message?: string;
}

const TITLE = 'a takeover that was asked for, a kill, and ping-pong, with two operators';

/** Prometheus looks every 2 s, on a machine that may be busy. */
const SEEN = { timeout: 120_000, interval: 1000 };

test(
  'a planned takeover is no failover; a kill is one, the first time too; two operators count once',
  async () => {
    const environment = readEnvironment();
    const pair = new Pair(environment, 'e2e-monitoring');
    let prometheus!: Prometheus;
    const value = async (expression: string): Promise<number | undefined> =>
      (await prometheus.query(expression))?.[0]?.value;
    const failovers = async () =>
      (await prometheus.alerts()).filter(({ labels }) => labels['alertname'] === 'FilerPairFailover');
    let beganAt = 0;
    const moments: TimedMoment[] = [];
    /** These alerts fire now, and no others; on the grid of the recording, too. */
    const firing = async (name: string, ...alerts: string[]): Promise<void> => {
      const now = async () =>
        (await prometheus.alerts()).flatMap(({ labels, state }) =>
          state === 'firing' ? (labels['alertname'] ?? '') : [],
        );
      await expect.poll(async () => [...new Set(await now())].toSorted(), SEEN).toEqual(alerts);
      await pause(20_000, 'a recording has one value for each 15 s');
      moments.push({ name, at: Date.now(), firing: alerts });
    };
    const giveBack = async (): Promise<void> => {
      await pair.takeoverPossible(SERVER_BACK_MS_MAX);
      await pair.request('giveback', 'a');
      await pair.servedBy('a', 'a', WRITER_FINISHED_MS_MAX);
      await pair.takeoverPossible(WRITER_FINISHED_MS_MAX);
    };
    const mine = `namespace="${pair.namespace}",name="${PAIR}"`;
    const takeovers = (cause: string): string =>
      `sum(filerpair_operator_transitions_total{${mine},kind="Takeover",cause=~"${cause}"})`;
    try {
      await step('a FilerPair is applied', () => pair.create());
      await step('it becomes Ready', () => pair.ready());
      await step('a takeover is possible', () => pair.takeoverPossible(WRITER_FINISHED_MS_MAX));
      await step('Prometheus scrapes two operators and two servers', async () => {
        prometheus = await Prometheus.start(
          readPrometheusPrograms(),
          environment,
          await scrapedPods(environment, pair),
        );
        await expect.poll(() => value('count(up{job="operator"} == 1)'), SEEN).toBe(2);
        beganAt = Date.now();
        const servers = `count(up{job="servers",namespace="${pair.namespace}",filerpair_dev_pair="${PAIR}"} == 1)`;
        await expect.poll(() => value(servers), SEEN).toBe(2);
      });
      await step('the dashboard counts the pair once', async () => {
        const pairs = await new Kubectl(environment, OPERATOR_NAMESPACE).run(
          'get',
          'filerpairs',
          '-A',
          '-o',
          'name',
        );
        const both = `count(filerpair_condition{${mine},type="Ready",status="True"})`;
        await expect.poll(() => value(both), SEEN).toBe(2);
        expect(await value(panel('Pairs that serve everything'))).toBe(pairs.trim().split('\n').length);
      });
      await step('every query of the dashboard is understood', async () => {
        for (const expression of panels())
          expect(await prometheus.query(expression), expression).not.toBeNull();
      });
      await step('counters start at zero', async () => {
        await expect.poll(() => value(takeovers('.+')), SEEN).toBe(0);
      });
      await step('a takeover is asked for', async () => {
        await pair.request('takeover', 'a');
        await pair.servedBy('a', 'b', WRITER_FINISHED_MS_MAX);
        await expect.poll(() => value(takeovers('Requested|Released')), SEEN).toBe(1);
        await firing('a takeover that was asked for');
      });
      await step('it is an event of type Normal', async () => {
        const events = await pair.kubectl.list<EventThing>('events.events.k8s.io');
        const [found] = events.filter(
          ({ reason, note = '' }) => reason === 'Takeover' && note.includes('Released'),
        );
        expect(found?.type).toBe('Normal');
      });
      await step('it is given back', async () => {
        await giveBack();
        await firing('given back');
      });
      await step('the server process is killed: the alert fires, for this pair, once', async () => {
        await killServerProcess(pair, 'a');
        await pair.servedBy('a', 'b', WRITER_FINISHED_MS_MAX);
        await expect
          .poll(
            async () =>
              (await failovers()).map(({ labels, state }) => [state, labels['namespace'], labels['name']]),
            SEEN,
          )
          .toEqual([['firing', pair.namespace, PAIR]]);
        await firing('a server was killed', 'FilerPairFailover');
      });
      await step('it is killed twice more: that is ping-pong', async () => {
        for (let again = 0; again < 2; again++) {
          await giveBack();
          await killServerProcess(pair, 'a');
          await pair.servedBy('a', 'b', WRITER_FINISHED_MS_MAX);
        }
        await firing('killed three times', 'FilerPairFailover', 'FilerPairPingPong');
      });
      await step('room and certificates of the servers are known', async () => {
        const room = `count(filerpair_volume_available_bytes{namespace="${pair.namespace}"} > 0)`;
        await expect.poll(() => value(room), SEEN).toBeGreaterThanOrEqual(2);
        const days = `min(filerpair_certificate_expiry_timestamp_seconds{namespace="${pair.namespace}"} - time()) / 86400`;
        expect(await value(days)).toBeGreaterThan(5);
      });
      if (process.env['RECORD'] === '1')
        writeRecording(RECORDED_TAKEOVERS, await recordingOf(prometheus, TITLE, beganAt, moments));
    } finally {
      await prometheus?.stop();
      await pair.remove();
    }
  },
  20 * 60_000,
);

async function scrapedPods(environment: TestEnvironment, pair: Pair): Promise<ScrapedPod[]> {
  const operators = await new Kubectl(environment, OPERATOR_NAMESPACE).list<Thing>('pods');
  const servers = await pair.kubectl.list<Thing>('pods', 'filerpair.dev/server');
  return [
    ...operators.map(
      ({ metadata }): ScrapedPod => ({
        job: 'operator',
        namespace: OPERATOR_NAMESPACE,
        pod: metadata.name,
        port: 8080,
        labels: {},
      }),
    ),
    ...servers.map(
      ({ metadata }): ScrapedPod => ({
        job: 'servers',
        namespace: pair.namespace,
        pod: metadata.name,
        port: 9090,
        labels: {
          filerpair_dev_pair: PAIR,
          filerpair_dev_server: metadata.labels?.['filerpair.dev/server'] ?? '',
        },
      }),
    ),
  ];
}

interface Panel {
  readonly title: string;
  readonly targets: readonly { readonly expr: string }[];
}

/** Grafana's variables as Grafana would fill them in. */
function queries(): { title: string; expression: string }[] {
  const file = join(REPOSITORY, 'helm/filerpair/files/dashboard.json');
  const { panels: all } = JSON.parse(readFileSync(file, 'utf8')) as { panels: Panel[] };
  return all.flatMap(({ title, targets }) =>
    targets.map(({ expr }) => ({
      title,
      expression: expr
        .replaceAll('$__rate_interval', '1m')
        .replaceAll('$namespace', '.*')
        .replaceAll('$pair', '.*'),
    })),
  );
}

const panels = (): string[] => queries().map(({ expression }) => expression);
const panel = (wanted: string): string => queries().find(({ title }) => title === wanted)!.expression;
