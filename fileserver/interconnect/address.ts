/**
 * Resolves the partner's name, and remembers the last answer. Nothing ever moves an address (docs/design.md), so an old answer is
 * better than waiting for a name server that is down at the very moment when messages matter. One question at a time: each takes
 * a thread of the pool until the name server answers or the resolver gives up.
 */
import { lookup as resolve } from 'node:dns';
import { isIP, type LookupFunction } from 'node:net';

/** Ms after which the remembered address is used while the question is still open. */
const PATIENCE_MS = 100;

type Answer = (error: NodeJS.ErrnoException | null, address: string, family: number) => void;

/** For net.connect's `lookup`; keeps one answer for each name. `ask`: node:dns, or something slow in tests. */
export function rememberingLookup(ask: (hostname: string, answer: Answer) => void = resolve): LookupFunction {
  const known = new Map<string, { address: string; family: number }>();
  /** Callers that wait for the answer, by the name that was asked about. */
  const open = new Map<string, Answer[]>();
  const askOnce = (hostname: string, answer: Answer): void => {
    const waiting = open.get(hostname);
    if (waiting !== undefined) {
      waiting.push(answer);
      return;
    }
    const all = [answer];
    open.set(hostname, all);
    ask(hostname, (error, address, family) => {
      open.delete(hostname);
      if (error === null && isIP(address) !== 0) known.set(hostname, { address, family });
      for (const one of all) one(error, address, family);
    });
  };
  return (hostname, _options, callback) => {
    let answered = false;
    const answer = (error: NodeJS.ErrnoException | null, address = '', family = 0): void => {
      if (answered) return;
      answered = true;
      clearTimeout(timer);
      // net.connect asks for one address, since autoSelectFamily is off.
      callback(error, address, family);
    };
    const remembered = known.get(hostname);
    const timer = setTimeout(() => {
      if (remembered !== undefined) answer(null, remembered.address, remembered.family);
    }, PATIENCE_MS);
    askOnce(hostname, (error, address, family) => {
      if (error === null) answer(null, address, family);
      else if (remembered !== undefined) answer(null, remembered.address, remembered.family);
      else answer(error);
    });
  };
}
