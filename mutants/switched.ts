/**
 * All mutants of a file in one text, each behind a question whether it is the one that is switched on. So a process that has loaded it
 * can be asked about one after the other, without loading anything again.
 */
import ts from 'typescript';
import type { Mutant } from './mutate.ts';
import { SWITCHES } from './switches.ts';

/** What the text asks. */
const PRELUDE =
  `const __switches = process.getBuiltinModule('node:worker_threads').getEnvironmentData('${SWITCHES}'); ` +
  'const __isMutant = (n) => __switches !== undefined && ((__switches[n + 1] = 1), __switches[0] === n); ';

/** A part of the text, and what stands there instead by mutant's number. */
interface Place {
  readonly start: number;
  readonly end: number;
  readonly isStatement: boolean;
  readonly instead: { readonly number: number; readonly text: string }[];
}

/** mutants: of this text alone, as mutantsOf() gives them; a mutant's number is its place among them plus `first`. */
export function switched(text: string, mutants: readonly Mutant[], first: number): string {
  const places = new Map<string, Place>();
  const source = ts.createSourceFile('file.ts', text, ts.ScriptTarget.Latest, true);
  const operators = new Map<number, ts.BinaryExpression>();
  const visit = (node: ts.Node): void => {
    if (ts.isBinaryExpression(node)) operators.set(node.operatorToken.getStart(), node);
    ts.forEachChild(node, visit);
  };
  visit(source);
  mutants.forEach((mutant, index) => {
    const operator = operators.get(mutant.start);
    const start = operator?.getStart() ?? mutant.start;
    const end = operator?.getEnd() ?? mutant.end;
    const name = `${start} ${end}`;
    const place = places.get(name) ?? { start, end, isStatement: mutant.becomes === ';', instead: [] };
    places.set(name, place);
    const instead = text.slice(start, mutant.start) + mutant.becomes + text.slice(mutant.end, end);
    place.instead.push({ number: first + index, text: instead });
  });
  const inOrder = [...places.values()].sort((one, other) => one.start - other.start || other.end - one.end);
  return PRELUDE + rewritten(text, 0, text.length, inOrder);
}

/** places: all between `start` and `end`, the outer ones first. */
function rewritten(text: string, start: number, end: number, places: readonly Place[]): string {
  let result = '';
  let at = start;
  for (let i = 0; i < places.length; ) {
    const place = places[i]!;
    let next = i + 1;
    while (next < places.length && places[next]!.start < place.end) next += 1;
    const inside = rewritten(text, place.start, place.end, places.slice(i + 1, next));
    result += text.slice(at, place.start) + choice(place, inside);
    at = place.end;
    i = next;
  }
  return result + text.slice(at, end);
}

function choice({ isStatement, instead }: Place, original: string): string {
  const asked = instead.map(({ number, text }) => `__isMutant(${number}) ? (${text}) : `);
  if (!isStatement) return `(${asked.join('')}(${original}))`;
  return `{ if (!(${instead.map(({ number }) => `__isMutant(${number})`).join(' || ')})) ${original} }`;
}
