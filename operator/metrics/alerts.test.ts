/** Alert rules and dashboards against the code and the docs: metrics that exist, a runbook for each alert, a test for each. */

import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { parse } from 'yaml';
import { TransitionCause } from '../../pair/types.ts';
import { operatorMetrics } from './metrics.ts';

const repository = join(import.meta.dirname, '../..');
const read = (path: string): string => readFileSync(join(repository, path), 'utf8');

interface Rule {
  readonly alert: string;
  readonly expr: string;
  readonly annotations: { readonly runbook_url: string };
}
interface AlertTest {
  readonly alertname: string;
  readonly exp_alerts: readonly unknown[];
}

const { groups } = parse(read('helm/filerpair/files/alerts.yaml')) as { groups: { rules: Rule[] }[] };
const rules = groups.flatMap((group) => group.rules);
const names = rules.map(({ alert }) => alert);

test('every alert has a runbook page, and every page an alert', () => {
  const pages = readdirSync(join(repository, 'docs/runbooks')).filter((name) => name !== 'README.md');
  expect(pages.toSorted()).toEqual(names.map((name) => `${name}.md`).toSorted());
  for (const { alert, annotations } of rules) {
    expect(annotations.runbook_url).toBe(`docs/runbooks/${alert}`);
    expect(read(`docs/runbooks/${alert}.md`)).toMatch(new RegExp(`^# ${alert}\n`));
  }
});

test('of every alert promtool is told when it fires, and of each that waits when it does not', () => {
  const { tests } = parse(read('e2e/monitoring/alert-rules.test.yaml')) as {
    tests: { alert_rule_test: AlertTest[] }[];
  };
  const all = tests.flatMap(({ alert_rule_test: each }) => each);
  const fired = new Set(all.filter((one) => one.exp_alerts.length > 0).map(({ alertname }) => alertname));
  expect(names.filter((name) => !fired.has(name))).toEqual([]);
});

test('alerts and dashboards use only metrics that operator, servers and proxies have', async () => {
  const metrics = operatorMetrics({ pairs: () => [], queueLength: () => 0, leading: () => true });
  const ours = (await metrics.registry.metrics()).matchAll(/^# TYPE (\S+) /gm);
  const sources = [
    'fileserver/agent/agent-metrics.ts',
    'fileserver/agent/data-path-metrics.ts',
    'client/proxy/proxy-figures.ts',
  ].map(read);
  const theirs = sources.flatMap((text) => [...text.matchAll(/['`](?:# HELP )?(filerpair_\w+)/g)]);
  const volume = [...read('fileserver/agent/data-path-metrics.ts').matchAll(/ {2}capacity\('(\w+)'/g)];
  const known = new Set([
    ...[...ours, ...theirs].map(([, name]) => name),
    ...volume.map(([, name]) => `filerpair_volume_${name}`),
    // Target labels of the servers' PodMonitor.
    'filerpair_dev_pair',
    'filerpair_dev_server',
  ]);
  const used = ['alerts.yaml', 'dashboard.json']
    .map((file) => read(`helm/filerpair/files/${file}`))
    .flatMap((text) => [...text.matchAll(/\bfilerpair_\w+/g)])
    .map(([name]) => name.replace(/_(bucket|sum|count)$/, ''));
  expect(used.length).toBeGreaterThan(20);
  expect([...new Set(used)].filter((name) => !known.has(name))).toEqual([]);
});

test('causes that alerts leave out as planned are causes of takeovers', () => {
  const planned = new Set(
    rules.flatMap(({ expr }) => [...expr.matchAll(/cause!~"([^"]+)"/g)]).map(([, one]) => one),
  );
  expect([...planned]).toEqual(['Requested|Released']);
  for (const cause of ['Requested', 'Released']) expect(Object.values(TransitionCause)).toContain(cause);
});

interface Panel {
  readonly title: string;
  readonly targets?: readonly { readonly expr: string }[];
}

test('dashboards count once with two operators: what both of them say is never added up', () => {
  const { panels } = JSON.parse(read('helm/filerpair/files/dashboard.json')) as { panels: Panel[] };
  const twice = /filerpair_(condition|away_from_home)/;
  for (const { title, targets = [] } of panels)
    for (const { expr } of targets) {
      if (!twice.test(expr)) continue;
      // The innermost aggregation around it is max, without what tells the operators apart.
      const inner = [
        ...expr.matchAll(/(\w+)(?: by \(([^)]*)\))? ?\(\s*(?:filerpair_condition|filerpair_away_from_home)/g),
      ];
      expect(inner.length, `${title}: ${expr}`).toBeGreaterThan(0);
      for (const [, aggregation, by = ''] of inner) {
        expect(aggregation, `${title}: ${expr}`).toBe('max');
        expect(by, title).not.toMatch(/pod|instance/);
      }
    }
});
