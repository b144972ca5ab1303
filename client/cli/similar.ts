/** "Did you mean ...": the known name that is nearest to one that is not known. */

/** Most edits (insertions, deletions, replacements, swapped neighbours) between a name and what was meant. */
const EDITS_MAX = 3;

/** `; did you mean "status"?`, or nothing if no known name is near. */
export function didYouMean(word: string, known: Iterable<string>): string {
  const found = nearest(word, known);
  return found === null ? '' : `; did you mean "${found}"?`;
}

/** The nearest of them; null if none shares more than half of its letters. */
export function nearest(word: string, known: Iterable<string>): string | null {
  let best: string | null = null;
  let bestEdits = EDITS_MAX + 1;
  for (const each of known) {
    const edits = editsBetween(word.toLowerCase(), each.toLowerCase());
    const isNear = edits <= EDITS_MAX && edits * 2 < Math.max(word.length, each.length);
    if (!isNear || edits >= bestEdits) continue;
    best = each;
    bestEdits = edits;
  }
  return best;
}

/** Optimal string alignment distance. */
function editsBetween(a: string, b: string): number {
  let beforeLast: number[] = [];
  let last = Array.from({ length: b.length + 1 }, (_, j) => j);
  for (let i = 1; i <= a.length; i++) {
    const row = [i];
    for (let j = 1; j <= b.length; j++) {
      const replaced = last[j - 1]! + (a[i - 1] === b[j - 1] ? 0 : 1);
      let edits = Math.min(last[j]! + 1, row[j - 1]! + 1, replaced);
      const isSwapped = i > 1 && j > 1 && a[i - 1] === b[j - 2] && a[i - 2] === b[j - 1];
      if (isSwapped) edits = Math.min(edits, beforeLast[j - 2]! + 1);
      row.push(edits);
    }
    beforeLast = last;
    last = row;
  }
  return last[b.length]!;
}
