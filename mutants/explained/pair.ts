/** Explained mutants of the pair protocol and the client. */
import type { Explained } from './explained-mutant.ts';

export const pairExplained: readonly Explained[] = [
  {
    file: 'pair/server.ts',
    line: "const concerns = 'home' in input ? input.home : null;",
    code: "'home' in input",
    becomes: 'true',
    why: 'The home of an input that has none is undefined, which is no disk set either.',
  },
  {
    file: 'pair/server.ts',
    line: 'next = { ...next, nextToken: token + 1 };',
    code: '+',
    becomes: '-',
    why: 'Tokens only have to differ from each other: those that count down do.',
  },
  {
    file: 'pair/disk-set/serving.ts',
    line: "role.port === 'quiescing' && role.leaving !== null) {",
    code: '&&',
    becomes: '||',
    why: 'A holder that leaves is quiescing, and no other is: both are set at once.',
  },
  {
    file: 'pair/server.ts',
    line: 'return state.witnessSilent === !answers ? state :',
    code: 'state.witnessSilent === !answers',
    becomes: 'false',
    why: 'It spares a copy of a state that is equal to it.',
  },
  {
    file: 'pair/disk-set.ts',
    line: "role.name === 'holder' ? enforceLease(present, role, context) : present,",
    code: "role.name === 'holder'",
    becomes: 'true',
    why: 'No other role has a confirmation that could be too old, or a port.',
  },
  {
    file: 'pair/disk-set/state.ts',
    line: 'asFound: true,',
    code: 'true',
    becomes: 'false',
    why: 'The first sighting sets it to true whatever it was, and nobody asks before.',
  },
  {
    file: 'pair/disk-set/state.ts',
    line: 'readOvertaken: false,',
    code: 'false',
    becomes: 'true',
    why: 'It is asked when a read is answered, and every read begins with setting it to false.',
  },
  {
    file: 'pair/disk-set/state.ts',
    line: '    lookup: true,',
    code: 'true',
    becomes: 'false',
    why: 'Of the start: a Lease that has never been seen is looked up in any case.',
  },
  {
    file: 'pair/disk-set/serving.ts',
    line: 'state.home === context.identity.server',
    code: 'state.home === context.identity.server',
    becomes: 'false',
    why: 'What is remembered of hand-overs is asked of the partner’s disk set alone; for the own one it would only be kept in vain.',
  },
  {
    file: 'client/attempts-pace.ts',
    line: 'hash = Math.imul(hash ^ (hash >>> 15), 0x85ebca6b);',
    code: 'hash = Math.imul(hash ^ (hash >>> 15), 0x85ebca6b);',
    becomes: ';',
    why: 'Clients and attempts are spread over the whole width without it; it only makes the order look less regular.',
  },
];
