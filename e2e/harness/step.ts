/**
 * The steps of a scenario, as sentences: in the log with the time each took, and in front of the error of the one that failed.
 */
import { say, seconds } from '../machine/stage.ts';

export async function step<T>(sentence: string, work: () => T | Promise<T>): Promise<T> {
  const from = performance.now();
  try {
    const result = await work();
    say(`  ${sentence} (${seconds(performance.now() - from)})`);
    return result;
  } catch (error) {
    say(`  ${sentence}: FAILED after ${seconds(performance.now() - from)}`);
    if (error instanceof Error) error.message = `in the step "${sentence}": ${error.message}`;
    throw error;
  }
}
