/**
 * Requests of people: who waits for which answer. Those that came through the control socket are answered there;
 * those that stand in a Lease are answered beside it.
 */
import { REQUEST_MS } from '../../pair/disk-set/state.ts';
import type { RequestResult } from '../witness/witness.ts';

/** Hand-overs under way have no other limit; all else the machine answers itself before. */
const ANSWER_MS = REQUEST_MS + 1000;

export class Requests {
  readonly #waiting = new Map<string, (result: RequestResult) => void>();

  /** Resolves with the answer to a request of the control socket, a refusal after 31 s without one. */
  wait(id: string): Promise<RequestResult> {
    return new Promise((resolve) => {
      const late = setTimeout(() => {
        this.#waiting.delete(id);
        const message = `not finished within ${ANSWER_MS} ms; GET /status shows how far it is`;
        resolve({ id, result: 'refused', message });
      }, ANSWER_MS);
      this.#waiting.set(id, (result) => {
        clearTimeout(late);
        resolve(result);
      });
    });
  }

  /** False if nobody waits here: the request came from elsewhere. */
  answer(result: RequestResult): boolean {
    const resolve = this.#waiting.get(result.id);
    this.#waiting.delete(result.id);
    resolve?.(result);
    return resolve !== undefined;
  }
}
