/** The house style as checks: words to avoid (from docs/glossary.md), long sentences, the passive with a named actor. */
import type { Paragraph } from './texts.ts';

/** Words of a sentence; more are hard to read at once. */
export const WORDS_MAX = 35;

export interface Fault {
  readonly line: number;
  readonly message: string;
}

interface Avoided {
  readonly pattern: RegExp;
  readonly instead: string;
}

export interface Style {
  readonly phrases: readonly Avoided[];
  /** By the part of an identifier, in lower case. */
  readonly parts: ReadonlyMap<string, string>;
}

/** Reads the tables "Words to avoid" and "Parts of identifiers" of the glossary. */
export function readStyle(glossary: string): Style {
  const phrases = tableUnder('## Words to avoid', glossary).map(([avoided, instead]) => ({
    pattern: new RegExp(`\\b(?:${avoided.split(', ').sort(longestFirst).join('|')})\\b`, 'gi'),
    instead,
  }));
  const parts = tableUnder('### Parts of identifiers', glossary).flatMap(([avoided, instead]) =>
    avoided.split(', ').map((part): [string, string] => [part, instead]),
  );
  return { phrases, parts: new Map(parts) };
}

function longestFirst(a: string, b: string): number {
  return b.length - a.length;
}

/** Pairs of cells of the first table below a heading. Throws if there is none: the check would find nothing. */
function tableUnder(heading: string, text: string): [string, string][] {
  const below = text.split(`\n${heading}\n`)[1]?.split('\n') ?? [];
  const head = below.findIndex((line) => line.startsWith('| ---'));
  const end = below.findIndex((line, index) => index > head && !line.startsWith('|'));
  const rows = head < 0 ? [] : below.slice(head + 1, end < 0 ? below.length : end);
  if (rows.length === 0) throw new Error(`docs/glossary.md: no table under "${heading}"`);
  return rows.map((row) => {
    const [, avoided, instead] = row.split('|').map((cell) => cell.trim());
    return [avoided!, instead!];
  });
}

/** "is answered by now" and the like name no actor. */
const PASSIVE =
  /\b(?:is|are|was|were|be|been|being) (?:\w+ly )?(?:\w+ed|done|given|taken|written|kept|held|made|sent|read|told|known|shown|seen|found) by (?!now\b|then\b|itself\b|its\b|their\b|these\b|this\b|what\b|themselves\b|hand\b|default\b|name\b|path\b|\w+ing\b|\d|that time\b|force\b)\w+/i;

export function faultsOf(paragraph: Paragraph, style: Style): Fault[] {
  const text = plain(paragraph.text);
  const faults: Fault[] = [];
  const report = (message: string): void => void faults.push({ line: paragraph.line, message });
  for (const { pattern, instead } of style.phrases)
    for (const [found] of text.matchAll(pattern)) report(`"${found}": write ${instead}`);
  for (const sentence of sentencesOf(text)) {
    const words = sentence.split(/\s+/).filter((word) => /\w/.test(word)).length;
    if (words > WORDS_MAX) report(`a sentence of ${words} words: split it ("${opening(sentence)} ...")`);
    const passive = PASSIVE.exec(sentence);
    if (passive !== null) report(`"${passive[0]}": name the actor first ("X does it")`);
  }
  return faults;
}

/** Without what is quoted, code, and the addresses of links. */
function plain(text: string): string {
  return text
    .replace(/`[^`]*`/g, 'CODE')
    .replace(/\]\([^)]*\)/g, ']')
    .replace(/(?<!\w)"[^"]*"|(?<!\w)'[^']*'(?!\w)/g, 'QUOTE')
    .replace(/[*_[\]]/g, '');
}

function sentencesOf(text: string): string[] {
  return text.split(/(?<=[.!?:])\s+(?=[A-Z"(])/);
}

function opening(sentence: string): string {
  return sentence.split(/\s+/).slice(0, 6).join(' ');
}

/** Faults of an identifier: `heirSince` has the parts `heir` and `since`. */
export function faultsOfName(name: string, line: number, { parts }: Style): Fault[] {
  const own = name
    .replace(/([a-z0-9])([A-Z])/g, '$1_$2')
    .toLowerCase()
    .split(/[_$]+/);
  const pairs = own.slice(1).map((part, index) => own[index]! + part);
  return [...own, ...pairs]
    .map((part) => [part, parts.get(part) ?? parts.get(part.replace(/s$|d$|r$|l$/, ''))] as const)
    .filter(([, instead]) => instead !== undefined)
    .map(([part, instead]) => ({ line, message: `${name}: write ${instead} for "${part}"` }));
}
