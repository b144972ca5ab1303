/** Mutants that no test can notice, or should, with the reason. One that is not found any more fails the run. */
export interface Explained {
  readonly file: string;
  /** Occurs in the line of the mutant. */
  readonly line: string;
  /** Absent: whatever the mutant does to the line. */
  readonly code?: string;
  readonly becomes?: string;
  /** A sentence. */
  readonly why: string;
}

export const EXPLAINED: readonly Explained[] = [
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
    file: 'pair/disk-set.ts',
    line: "role.name === 'holder' ? enforceRight(present, role, context) : present,",
    code: "role.name === 'holder'",
    becomes: 'true',
    why: 'No other role has a confirmation that could be too old, or a port.',
  },
  {
    file: 'pair/disk-set.ts',
    line: 'asFound: true,',
    code: 'true',
    becomes: 'false',
    why: 'The first sighting sets it to true whatever it was, and nobody asks before.',
  },
  {
    file: 'pair/disk-set.ts',
    line: 'readOvertaken: false,',
    code: 'false',
    becomes: 'true',
    why: 'It is asked when a read is answered, and every read begins with setting it to false.',
  },
  {
    file: 'pair/disk-set.ts',
    line: '    lookup: true,',
    code: 'true',
    becomes: 'false',
    why: 'Of the start: a Lease that has never been seen is looked up in any case.',
  },
  {
    file: 'pair/disk-set.ts',
    line: 'state.home === context.identity.server',
    code: 'state.home === context.identity.server',
    becomes: 'false',
    why: 'What is remembered of hand-overs is asked of the partner’s disk set alone; for the own one it would only be kept in vain.',
  },
  {
    file: 'fileserver/volume/journal-records.ts',
    line: 'if (end > this.bytes.length) this.grow(end);',
    code: '>',
    becomes: '>=',
    why: 'The buffer grows one record earlier.',
  },
  {
    file: 'fileserver/volume/journal-records.ts',
    line: 'if (type < RecordType.intent || type > RecordType.copiedReply) continue;',
    code: 'type < RecordType.intent || type > RecordType.copiedReply',
    becomes: 'false',
    why: 'It spares the sum of what is no record; whether it is one is asked again.',
  },
  {
    file: 'fileserver/volume/journal-records.ts',
    line: 'if (type < RecordType.intent || type > RecordType.copiedReply) continue;',
    code: '||',
    becomes: '&&',
    why: 'The same.',
  },
  {
    file: 'fileserver/volume/journal-payloads.ts',
    line: 'payload.set(size === bytes.length ? bytes',
    code: 'size === bytes.length',
    becomes: 'false',
    why: 'It spares a view of the whole.',
  },
  {
    file: 'fileserver/volume/left-behind.ts',
    line: 'if (starts.size > 0) starts.delete(key);',
    code: 'starts.size > 0',
    becomes: 'true',
    why: 'It spares looking in a map that is empty.',
  },
  {
    file: 'fileserver/volume/left-behind.ts',
    line: 'if (starts.size > 0) starts.delete(key);',
    code: '>',
    becomes: '>=',
    why: 'The same.',
  },
  {
    file: 'fileserver/volume/left-behind.ts',
    line: 'else if (unanswered.size > 0) unanswered.delete(key);',
    code: 'unanswered.size > 0',
    becomes: 'true',
    why: 'It spares looking in a set that is empty.',
  },
  {
    file: 'fileserver/volume/left-behind.ts',
    line: 'else if (unanswered.size > 0) unanswered.delete(key);',
    code: '>',
    becomes: '>=',
    why: 'The same.',
  },
  {
    file: 'fileserver/volume/left-behind.ts',
    line: 'if (typeAt(view, at) !== RecordType.intent) size += payloadSizeAt(view, at);',
    code: 'typeAt(view, at) !== RecordType.intent',
    becomes: 'true',
    why: 'Memory for the answers: with that of the intents there is more than enough.',
  },
  {
    file: 'fileserver/right-table.ts',
    line: 'Atomics.load(this.order, 0);',
    why: 'Order and visibility of the access beside it: no compiler and processor of today shows what it prevents.',
  },
  {
    file: 'fileserver/right-table.ts',
    line: 'Atomics.add(this.order, 0, 1);',
    why: 'The same, of the write.',
  },
  {
    file: 'fileserver/right-table.ts',
    line: "return slot === 'own' ? 0 : CACHE_LINE_SIZE / 4;",
    code: '===',
    becomes: '!==',
    why: 'Which of two words belongs to which disk set does not matter, as long as all ask for it here.',
  },
  {
    file: 'fileserver/right-table.ts',
    line: "return slot === 'own' ? HALTED_AT : HALTED_AT + 1;",
    code: '===',
    becomes: '!==',
    why: 'The same.',
  },
  {
    file: 'fileserver/volume/ownership.ts',
    line: 'slot.generation > newest.generation',
    code: '>',
    becomes: '>=',
    why: 'Each record has a generation of its own: the one before, and one more.',
  },
  {
    file: 'client/attempts.ts',
    line: 'hash = Math.imul(hash ^ (hash >>> 15), 0x85ebca6b);',
    code: 'hash = Math.imul(hash ^ (hash >>> 15), 0x85ebca6b);',
    becomes: ';',
    why: 'Clients and attempts are spread over the whole width without it; it only makes the order look less regular.',
  },
];
