/** The pair that `make kind` leaves running, to look at and to play with. */
import type { TestEnvironment } from '../environment.ts';
import { PAIR, Pair } from '../harness/pair.ts';
import { say, stage } from '../machine/stage.ts';

export const EXAMPLE_NAMESPACE = 'filerpair-example';

export async function installExample(environment: TestEnvironment): Promise<void> {
  const pair = new Pair(environment, EXAMPLE_NAMESPACE);
  if ((await pair.kubectl.try('get', 'filerpair', PAIR)).code === 0) {
    say(`the example pair is there already, in the namespace ${EXAMPLE_NAMESPACE}`);
    return;
  }
  await stage(`making an example pair in the namespace ${EXAMPLE_NAMESPACE}`, async () => {
    await pair.create();
    await pair.ready();
  });
}
