/** Generates docs/chart-values.md, the reference of the chart's values, from their comments, defaults and schema. */
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { isMap, isScalar, type Node, parseDocument, type YAMLMap } from 'yaml';

// `node scripts/chart-values.ts` writes it; `--check` fails if it differs, or if a value has no comment or is unknown to the schema.

const ROOT = join(import.meta.dirname, '..');
const CHART = join(ROOT, 'helm/filerpair');
const PAGE = join(ROOT, 'docs/chart-values.md');

interface Schema {
  readonly type?: string;
  readonly enum?: readonly unknown[];
  readonly minimum?: number;
  readonly items?: Schema;
  readonly properties?: Readonly<Record<string, Schema>>;
}

interface Value {
  readonly path: string;
  readonly type: string;
  /** JSON. */
  readonly fallback: string;
  readonly comment: string;
}

const faults: string[] = [];

/** What the schema describes member by member is a section; every other map is a value as a whole. */
function valuesOf(map: YAMLMap, schema: Schema | undefined, above: readonly string[]): Value[] {
  return map.items.flatMap(({ key, value }): Value[] => {
    if (!isScalar(key)) throw new Error('keys of values are words');
    const path = [...above, String(key.value)];
    const name = path.join('.');
    const own = schema?.properties?.[String(key.value)];
    if (own === undefined) faults.push(`values.schema.json does not know ${name}`);
    const comment = commentAbove(key.range![0]);
    if (isMap(value) && !value.flow && own?.properties !== undefined)
      return [
        ...(comment === '' ? [] : [{ path: name, type: '', fallback: '', comment }]),
        ...valuesOf(value, own, path),
      ];
    if (comment === '') faults.push(`values.yaml: ${name} has no comment`);
    return [{ path: name, type: typeOf(own), fallback: JSON.stringify((value as Node).toJSON()), comment }];
  });
}

/** The lines directly above, without those that show an example: they begin with two blanks. */
function commentAbove(offset: number): string {
  const lines = text.slice(0, offset).split('\n').slice(0, -1).reverse();
  const end = lines.findIndex((line) => !line.trimStart().startsWith('#'));
  const comment = lines.slice(0, end === -1 ? lines.length : end).reverse();
  return comment
    .map((line) => line.trimStart().slice(1))
    .filter((line) => !line.startsWith('  '))
    .join(' ')
    .replaceAll(/\s+/g, ' ')
    .trim();
}

function typeOf(schema: Schema | undefined): string {
  if (schema === undefined) return '';
  if (schema.enum !== undefined) return schema.enum.map((one) => `\`${one}\``).join(', ');
  if (schema.type !== 'array') return schema.type ?? '';
  const items = typeOf(schema.items);
  return items === '' ? 'list' : `list of ${items}`;
}

/** In a cell of a table; what stands in angle brackets would be taken for HTML. */
const cell = (content: string): string =>
  content.replaceAll('|', '\\|').replaceAll(/(?<![`\w])(<\w+>[/\w<>]*)/g, '`$1`');

const text = readFileSync(join(CHART, 'values.yaml'), 'utf8');
const values = parseDocument(text);
const schema = JSON.parse(readFileSync(join(CHART, 'values.schema.json'), 'utf8')) as Schema;
const rows = valuesOf(values.contents as YAMLMap, schema, []).map(
  ({ path, type, fallback, comment }) =>
    `| \`${path}\` | ${cell(type)} | ${fallback === '' ? '' : `\`${fallback.replaceAll('|', '\\|')}\``} | ${cell(comment)} |`,
);
const page = `# Values of the chart

Generated from [helm/filerpair/values.yaml](../helm/filerpair/values.yaml) and its schema by \`node scripts/chart-values.ts\`; do not edit.
The file has examples too. [install.md](install.md) says how to install and upgrade.

| value | type | default | meaning |
| --- | --- | --- | --- |
${rows.join('\n')}
`;

if (!process.argv.includes('--check')) writeFileSync(PAGE, page);
else if (readFileSync(PAGE, 'utf8') !== page)
  faults.push('docs/chart-values.md: not what values.yaml says; run "node scripts/chart-values.ts"');
for (const fault of faults) console.error(fault);
if (faults.length > 0) process.exitCode = 1;
