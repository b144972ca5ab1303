/**
 * Which parts of the source have run, by V8's own block coverage (Chrome DevTools Protocol, Profiler.takePreciseCoverage). Asked
 * for on this thread itself, so the answer is there when the call returns.
 */
import { type Profiler, Session } from 'node:inspector';

export class Coverage {
  readonly #session = new Session();
  readonly #under: readonly string[];
  /** Of each script, by its URL: which characters of its source have run. */
  readonly #seen = new Map<string, Uint8Array>();
  /** Functions that have run: V8 says nothing of those that were never compiled, so their text looks like their parent's. */
  readonly #functions = new Set<string>();

  /** `under`: URLs of the folders whose scripts count. */
  constructor(under: readonly string[]) {
    this.#under = under;
    this.#session.connect();
    this.#post('Profiler.enable');
    this.#post('Profiler.startPreciseCoverage', { callCount: true, detailed: true });
  }

  /** How much was seen so far: characters of source, and functions. */
  get size(): number {
    let size = this.#functions.size;
    for (const characters of this.#seen.values()) for (const each of characters) size += each;
    return size;
  }

  /** Whether anything ran since the last call that had never run before. `remember`: at the next calls it had. */
  take(remember: boolean): boolean {
    const { result } = this.#post('Profiler.takePreciseCoverage') as Profiler.TakePreciseCoverageReturnType;
    let news = false;
    for (const { url, functions } of result) {
      if (this.#under.some((folder) => url.startsWith(folder)) && this.#add(url, functions, remember))
        news = true;
    }
    return news;
  }

  stop(): void {
    this.#session.disconnect();
  }

  #add(url: string, functions: readonly Profiler.FunctionCoverage[], remember: boolean): boolean {
    const end = Math.max(...functions.map(({ ranges }) => ranges[0]!.endOffset));
    const now = new Uint8Array(end);
    let news = false;
    // Functions come before those inside of them, and ranges before those inside of them: the inner one counts.
    for (const { ranges } of functions) {
      const [{ startOffset, endOffset, count }] = ranges as [Profiler.CoverageRange];
      for (const range of ranges) now.fill(range.count > 0 ? 1 : 0, range.startOffset, range.endOffset);
      const name = `${url} ${startOffset} ${endOffset}`;
      if (count === 0 || this.#functions.has(name)) continue;
      if (remember) this.#functions.add(name);
      news = true;
    }
    let seen = this.#seen.get(url);
    if (seen === undefined || seen.length < end) {
      const longer = new Uint8Array(end);
      longer.set(seen ?? []);
      seen = longer;
      this.#seen.set(url, seen);
    }
    for (let i = 0; i < end; i++) {
      if (now[i] === 0 || seen[i] === 1) continue;
      if (remember) seen[i] = 1;
      news = true;
    }
    return news;
  }

  #post(method: string, params?: object): unknown {
    let answer: unknown;
    let failed: Error | null = null;
    this.#session.post(method, params, (error, result) => {
      failed = error;
      answer = result;
    });
    if (failed !== null) throw failed;
    return answer;
  }
}
