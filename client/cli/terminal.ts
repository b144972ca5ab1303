/**
 * Output of a command, on its way to a terminal or a file. Names, messages and logs come from others: files' owners, tenants,
 * servers. A control character in them would move the cursor, change the title or make a line look like another one, so all text
 * goes through here, and here they are written as escapes. Only main.ts opens the streams; cat alone gets them for bytes.
 */
import type { Writable } from 'node:stream';

/** Control characters (C0, DEL, C1), and what turns or breaks a line: direction marks and separators of Unicode. */
const STEERING = /[\p{Cc}\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]/gu;

/** A name or a sentence of somebody else's, as part of one line: line breaks and tabs are escaped too. */
export function oneLine(text: string): string {
  return text.replace(STEERING, (character) => {
    const code = character.charCodeAt(0);
    return code < 256
      ? `\\x${code.toString(16).padStart(2, '0')}`
      : `\\u${code.toString(16).padStart(4, '0')}`;
  });
}

/** The same for a whole answer of somebody else's: each text in it is fit to be a part of a line. */
export function fitForLines<T>(value: T): T {
  if (typeof value === 'string') return oneLine(value) as T;
  if (Array.isArray(value)) return value.map(fitForLines) as T;
  if (typeof value !== 'object' || value === null) return value;
  return Object.fromEntries(Object.entries(value).map(([name, each]) => [name, fitForLines(each)])) as T;
}

export class Terminal {
  readonly #stream: Writable & { readonly isTTY?: boolean; readonly columns?: number };

  constructor(stream: Writable & { readonly isTTY?: boolean; readonly columns?: number }) {
    this.#stream = stream;
  }

  /** An administrator is looking: lines may be redrawn. */
  get interactive(): boolean {
    return this.#stream.isTTY === true;
  }

  /** Characters of a line. */
  get columns(): number {
    return this.#stream.columns ?? 80;
  }

  /** Several lines, each with its end. The escapes are those of JSON, so that JSON and quoted YAML stay what they are. */
  write(text: string): void {
    this.#stream.write(severalLines(text));
  }

  /** One line; whatever it is made of, it does not become two. */
  line(text: string): void {
    this.#stream.write(`${oneLine(text)}\n`);
  }

  /** Over the line that was redrawn last; `last`: what comes next begins a new one. */
  redraw(text: string, last: boolean): void {
    this.#stream.write(`\r\x1b[2K${oneLine(text)}${last ? '\n' : ''}`);
  }

  /** Instead of everything on the screen; in a file or a pipe, after what is there. */
  picture(text: string): void {
    this.#stream.write(`${this.interactive ? '\x1b[H\x1b[2J\x1b[3J' : ''}${severalLines(text)}\n`);
  }
}

function severalLines(text: string): string {
  return text.replace(STEERING, (character) =>
    character === '\n' || character === '\t'
      ? character
      : `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`,
  );
}
