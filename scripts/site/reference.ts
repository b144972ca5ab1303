/** Pages of the reference that are made of the code: metrics, fields of a server's configuration, commands with their options. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import ts from 'typescript';
import { type CommandGroup, isGroup } from '../../client/cli/command.ts';
import { FILES, PAIRS } from '../../client/cli/commands/index.ts';
import { helpOf } from '../../client/cli/parser.ts';
import { ProxyFigures } from '../../client/proxy/proxy-figures.ts';
import { agentMetrics } from '../../fileserver/agent/agent-metrics.ts';
import { dataPathMetrics } from '../../fileserver/agent/data-path-metrics.ts';
import type { Status } from '../../fileserver/agent/status.ts';
import type { Config } from '../../fileserver/config/config.ts';
import { DataFigures, metricsSize } from '../../fileserver/metrics/data-metrics.ts';
import { operatorMetrics } from '../../operator/metrics/metrics.ts';
import { ROOT } from './pages.ts';

const cell = (text: string): string => text.replaceAll('|', '\\|').replaceAll('<', '&lt;');

export async function metricsPage(): Promise<string> {
  const operator = operatorMetrics({ pairs: () => [], queueLength: () => 0, leading: () => true });
  return [
    '# Metrics',
    '',
    'Generated from the code. [Monitoring](../monitoring.md) says how to scrape them, and which alerts use them.',
    '',
    '## Of the operator',
    '',
    ...tableOf(await operator.registry.metrics(), /^filerpair_/),
    '',
    'The metrics of its Node process (`process_*`, `nodejs_*`) are those of prom-client.',
    '',
    '## Of a server',
    '',
    ...tableOf(await serverMetrics(), /^filerpair_/),
    '',
    '## Of a proxy',
    '',
    'Where `filerpair proxy --metrics HOST:PORT` says.',
    '',
    ...tableOf(new ProxyFigures().text('', { connectionCount: 0, pendingSinceMs: null }, 0), /^filerpair_/),
    '',
  ].join('\n');
}

function serverMetrics(): Promise<string> {
  const status: Partial<Status> = {
    diskSets: [],
    lastTransition: null,
    partner: { name: 'b', connected: false, incarnation: null, lastHeartbeatMs: null },
    sentinel: { watching: false },
    configuration: { refused: null } as Status['configuration'],
  };
  const { metrics } = agentMetrics({
    status: () => status as Status,
    homes: ['a', 'b'],
    certificates: () => [],
  });
  const counts = { connections: 1, own: 1, partner: 1 };
  const figures = new DataFigures(new SharedArrayBuffer(metricsSize(counts)), counts);
  const config = { server: 'a', partner: 'b', diskSets: { a: { volumes: [] }, b: { volumes: [] } } };
  dataPathMetrics(metrics, config as unknown as Config, () => [], figures);
  return metrics.format();
}

function tableOf(text: string, named: RegExp): string[] {
  const types = new Map([...text.matchAll(/^# TYPE (\S+) (\S+)$/gm)].map(([, name, type]) => [name, type]));
  const rows = [...text.matchAll(/^# HELP (\S+) (.*)$/gm)]
    .filter(([, name]) => named.test(name!))
    .map(([, name, help]) => `| \`${name}\` | ${types.get(name)} | ${cell(help!)} |`);
  return ['| metric | type | what |', '| --- | --- | --- |', ...rows];
}

const CONFIGURATION = 'fileserver/config/config.ts';

export function serverConfigurationPage(): string {
  const source = ts.createSourceFile(
    CONFIGURATION,
    readFileSync(join(ROOT, CONFIGURATION), 'utf8'),
    ts.ScriptTarget.Latest,
    true,
  );
  const named = new Map<string, ts.Expression>();
  for (const statement of source.statements)
    if (ts.isVariableStatement(statement))
      for (const { name, initializer } of statement.declarationList.declarations)
        if (initializer !== undefined) named.set(name.getText(), initializer);
  const rows = fieldsOf(named.get('schema')!, '', named);
  return [
    '# Configuration of a server',
    '',
    'Generated from the code. The operator writes this file; without Kubernetes you do. JSON, `--config FILE`. A field that is not listed is refused.',
    '',
    '| field | values | what |',
    '| --- | --- | --- |',
    ...rows.map(({ path, values, what }) => `| \`${path}\` | \`${values}\` | ${cell(what)} |`),
    '',
  ].join('\n');
}

interface Field {
  readonly path: string;
  readonly values: string;
  readonly what: string;
}

/** Of the object in the expression of a schema, in the order of the source. */
function fieldsOf(schema: ts.Expression, prefix: string, named: ReadonlyMap<string, ts.Expression>): Field[] {
  const object = objectIn(schema, named);
  if (object === null) return [];
  return object.properties.flatMap((property): Field[] => {
    const name = property.name?.getText() ?? '';
    const value = ts.isPropertyAssignment(property) ? property.initializer : (named.get(name) ?? null);
    if (value === null) return [];
    const path = `${prefix}${name}`;
    const what = ts
      .getJSDocCommentsAndTags(property)
      .map(({ comment }) => (typeof comment === 'string' ? comment.replaceAll('\n', ' ') : ''))
      .join(' ');
    const isObject = objectIn(value, named) !== null;
    const values = isObject ? 'object' : valuesOf(value, named);
    return [{ path, values, what }, ...fieldsOf(value, `${path}.`, named)];
  });
}

/** The object literal of `z.strictObject({...})`, or within `z.array(...)` and the like. */
function objectIn(
  expression: ts.Expression,
  named: ReadonlyMap<string, ts.Expression>,
): ts.ObjectLiteralExpression | null {
  if (ts.isObjectLiteralExpression(expression)) return expression;
  if (ts.isIdentifier(expression)) {
    const meant = named.get(expression.text);
    return meant === undefined ? null : objectIn(meant, named);
  }
  if (!ts.isCallExpression(expression)) return null;
  const callee = expression.expression;
  if (ts.isPropertyAccessExpression(callee)) {
    if (/^(strictObject|array)$/.test(callee.name.text) && callee.expression.getText() === 'z')
      return expression.arguments[0] === undefined ? null : objectIn(expression.arguments[0], named);
    if (callee.expression.getText() === 'z') {
      const last = expression.arguments.at(-1);
      return callee.name.text === 'record' && last !== undefined ? objectIn(last, named) : null;
    }
    return objectIn(callee.expression, named);
  }
  return null;
}

/** What the schema says, without its words. */
function valuesOf(expression: ts.Expression, named: ReadonlyMap<string, ts.Expression>): string {
  const text = expression.getText().replace(/\s+/g, ' ');
  const [base = ''] = /^\w+/.exec(text) ?? [];
  const meant = named.get(base);
  const whole =
    meant === undefined || base === 'z'
      ? text
      : meant.getText().replace(/\s+/g, ' ') + text.slice(base.length);
  return whole
    .replace(/\bz\s*\./g, '')
    .replaceAll('|', '/')
    .replaceAll('`', "'")
    .slice(0, 160);
}

/** Each command as its help explains it. */
export function commandsPage(): string {
  return [
    '# Commands',
    '',
    'Generated from the code: what `--help` says. [The client](../client.md) and [the operator](../operator.md) say what they are for.',
    '',
    ...[PAIRS, FILES].flatMap((group) => helpsOf(group, group.name, '##')),
  ].join('\n');
}

function helpsOf(group: CommandGroup, name: string, heading: string): string[] {
  return [
    ...helpBlock(name, helpOf(group, name, HELP_COLUMNS), heading),
    // The plug-in's commands have their own chapter.
    ...group.commands
      .filter((entry) => entry !== PAIRS && entry.name !== 'pairs')
      .flatMap((entry) =>
        isGroup(entry)
          ? helpsOf(entry, `${name} ${entry.name}`, '###')
          : helpBlock(`${name} ${entry.name}`, helpOf(entry, `${name} ${entry.name}`, HELP_COLUMNS), '###'),
      ),
  ];
}

const HELP_COLUMNS = 100;

const helpBlock = (name: string, help: string, heading: string): string[] => [
  `${heading} ${name}`,
  '',
  '```text',
  help.trimEnd(),
  '```',
  '',
];
