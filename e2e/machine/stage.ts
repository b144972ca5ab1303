/**
 * What the set-up says while it works: one line when a stage starts, one when it ends, with the time it took. In a log the two
 * lines stand below each other; nothing depends on a terminal.
 */

const started = performance.now();

/** Seconds as people read them: 0.4 s, 12 s, 3 min 20 s. */
export function seconds(ms: number): string {
  const s = ms / 1000;
  if (s < 10) return `${s.toFixed(1)} s`;
  if (s < 120) return `${Math.round(s)} s`;
  return `${Math.floor(s / 60)} min ${Math.round(s % 60)} s`;
}

export function say(text: string): void {
  const at = Math.floor((performance.now() - started) / 1000);
  const clock = `${String(Math.floor(at / 60)).padStart(2, '0')}:${String(at % 60).padStart(2, '0')}`;
  process.stdout.write(`[${clock}] ${text}\n`);
}

/** Runs one stage of the set-up and says how long it took. `work` may return a remark for the closing line. */
export async function stage<T>(
  title: string,
  work: () => Promise<T>,
  remark?: (result: T) => string,
): Promise<T> {
  const from = performance.now();
  say(`${title} ...`);
  const result = await work();
  say(`${title}: ${remark ? `${remark(result)}, ` : ''}${seconds(performance.now() - from)}`);
  return result;
}
