import { expect, it } from 'vitest';
import { rememberingLookup } from './address.ts';

type Ask = NonNullable<Parameters<typeof rememberingLookup>[0]>;

/** Asks as net.connect does. */
function lookUp(ask: Ask): () => Promise<string> {
  const lookup = rememberingLookup(ask);
  return () =>
    new Promise((resolve, reject) => {
      lookup('filer-b', {}, (error, address) => (error === null ? resolve(String(address)) : reject(error)));
    });
}

it('gives the address that it is told', async () => {
  expect(await lookUp((_name, answer) => answer(null, '10.0.0.1', 4))()).toBe('10.0.0.1');
});

it('gives the newest address, and the last one while the name server is silent or says no', async () => {
  const answers: Parameters<Ask>[1][] = [];
  const ask = lookUp((_name, answer) => answers.push(answer));
  const first = ask();
  answers[0]!(null, '10.0.0.1', 4);
  expect(await first).toBe('10.0.0.1');
  // Silence.
  expect(await ask()).toBe('10.0.0.1');
  // An answer that came too late for its question serves the next one.
  answers[1]!(null, '10.0.0.2', 4);
  expect(await ask()).toBe('10.0.0.2');
  // No, to the question that is still open.
  const refused = ask();
  answers[2]!(Object.assign(new Error('no such name'), { code: 'ENOTFOUND' }), '', 0);
  expect(await refused).toBe('10.0.0.2');
});

it('has one question open at a time, however often it is asked, and its answer is for all who wait', async () => {
  const answers: Parameters<Ask>[1][] = [];
  const ask = lookUp((_name, answer) => answers.push(answer));
  const all = Array.from({ length: 50 }, ask);
  expect(answers).toHaveLength(1);
  answers[0]!(null, '10.0.0.1', 4);
  expect(new Set(await Promise.all(all))).toEqual(new Set(['10.0.0.1']));
  for (let attempt = 0; attempt < 3; attempt++) expect(await ask()).toBe('10.0.0.1');
  expect(answers).toHaveLength(2);
});

it('says that a name which has never been known is not known', async () => {
  const ask = lookUp((_name, answer) => answer(Object.assign(new Error('no such name')), '', 0));
  await expect(ask()).rejects.toThrow('no such name');
});
