/** Lines of one size that a writer numbers: a line's number gives its place in the file, so what is lost is found. Pure. */

/** Bytes of a line, its newline included. */
export const LINE_SIZE = 64;

export function lineText(number: number, writer: string): string {
  const text = `${writer} line ${number} `;
  return `${text.padEnd(LINE_SIZE - 1, '.')}\n`;
}

/** Those of lines 0 to `count` - 1 that are not in the file's contents. */
export function lostLines(contents: string, count: number, writer: string): number[] {
  return Array.from({ length: count }, (_, number) => number).filter(
    (number) => contents.slice(number * LINE_SIZE, (number + 1) * LINE_SIZE) !== lineText(number, writer),
  );
}
