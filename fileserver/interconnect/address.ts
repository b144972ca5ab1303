/**
 * Resolves the partner's name, and remembers the last answer: nothing ever moves an address (DESIGN section 7), so an
 * old answer is better than waiting for a name server that is down at the very moment when messages matter.
 */
import { lookup as resolve } from 'node:dns';
import { isIP, type LookupFunction } from 'node:net';

/** Ms after which the remembered address is used while the question is still open. */
const PATIENCE_MS = 100;

type Answer = (error: NodeJS.ErrnoException | null, address: string, family: number) => void;

/** For net.connect's `lookup`; keeps one answer for each name. `ask`: node:dns, or something slow in tests. */
export function rememberingLookup(ask: (hostname: string, answer: Answer) => void = resolve): LookupFunction {
  const known = new Map<string, { address: string; family: number }>();
  return (hostname, _options, callback) => {
    let answered = false;
    const answer = (error: NodeJS.ErrnoException | null, address = '', family = 0): void => {
      if (answered) return;
      answered = true;
      clearTimeout(timer);
      // With autoSelectFamily off, net.connect asks for one address.
      callback(error, address, family);
    };
    const remembered = known.get(hostname);
    const timer = setTimeout(() => {
      if (remembered !== undefined) answer(null, remembered.address, remembered.family);
    }, PATIENCE_MS);
    ask(hostname, (error, address, family) => {
      if (error === null) {
        if (isIP(address) !== 0) known.set(hostname, { address, family });
        return answer(null, address, family);
      }
      if (remembered !== undefined) return answer(null, remembered.address, remembered.family);
      answer(error);
    });
  };
}
