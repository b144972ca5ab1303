/**
 * Requests of people: who waits for which answer. Those that came through the control socket are answered there;
 * those that stand in a Lease are answered beside it.
 */
import type { RequestResult } from '../witness/witness.ts';

/** Longer than any hand-over that still makes sense to wait for. */
const ANSWER_MS = 30_000;

export class Requests {
  private readonly waiting = new Map<string, (result: RequestResult) => void>();

  /** Resolves with the answer to a request of the control socket, a refusal after 30 s without one. */
  wait(id: string): Promise<RequestResult> {
    return new Promise((resolve) => {
      const late = setTimeout(() => {
        this.waiting.delete(id);
        const message = `not finished within ${ANSWER_MS} ms; GET /status shows how far it is`;
        resolve({ id, result: 'refused', message });
      }, ANSWER_MS);
      this.waiting.set(id, (result) => {
        clearTimeout(late);
        resolve(result);
      });
    });
  }

  /** False if nobody waits here: the request came from elsewhere. */
  answer(result: RequestResult): boolean {
    const resolve = this.waiting.get(result.id);
    this.waiting.delete(result.id);
    resolve?.(result);
    return resolve !== undefined;
  }
}
