// The architecture as rules: pure core inside, I/O at the edge, dependencies pointing inwards.
// docs/architecture.md draws the same picture; `make test` checks that the code agrees.
const only = (name, from, allowed) => ({
  name,
  severity: 'error',
  from: { path: `^${from}/`, pathNot: '\\.(test|fixture)\\.ts$' },
  to: {
    path: '^(native|protocol|pair|kubernetes|crds|fileserver|client|operator|simulation|demo|bench|fuzzing|e2e)/',
    pathNot: `^(${allowed.join('|')})/`,
  },
});
module.exports = {
  forbidden: [
    { name: 'no-cycles', severity: 'error', from: {}, to: { circular: true } },
    {
      name: 'pure-core-does-no-io',
      comment:
        'protocol/ and pair/ decide and encode; they may not touch a clock, a socket or a disk. zod checks values, and does none of it.',
      severity: 'error',
      from: { path: '^(protocol|pair)/', pathNot: '\\.test\\.ts$' },
      to: { dependencyTypes: ['core', 'npm'], pathNot: '^node_modules/zod/' },
    },
    {
      name: 'client-decisions-do-no-io',
      comment: 'Where to connect, whom to adopt and what to send again: run in the simulation too.',
      severity: 'error',
      from: {
        path: '^client/(attempts(-state|-pace)?|resend-window|refused-call|unanswered-calls|node/director|node/netlink/(attributes|message|nft-expressions))\\.ts$',
      },
      to: { dependencyTypes: ['core', 'npm'] },
    },
    {
      name: 'client-library-needs-no-package',
      comment: 'It is a package of its own (client/package.json) and brings nothing along.',
      severity: 'error',
      from: { path: '^client/[^/]+\\.ts$', pathNot: '\\.(test|fixture)\\.ts$' },
      to: { dependencyTypes: ['npm'] },
    },
    {
      name: 'client-library-stands-alone',
      severity: 'error',
      from: { path: '^client/[^/]+\\.ts$', pathNot: '\\.(test|fixture)\\.ts$' },
      to: { path: '^(client/[^/]+/|native/|pair/|kubernetes/|crds/)' },
    },
    only('protocol-imports-nothing-of-ours', 'protocol', ['protocol']),
    only('pair-imports-nothing-of-ours', 'pair', ['pair']),
    only('kubernetes-transport-stands-alone', 'kubernetes', ['kubernetes']),
    only('crds-stand-alone', 'crds', ['crds']),
    only('native-memory-stands-alone', 'native', ['native']),
    only('client-direction', 'client', ['client', 'native', 'protocol', 'pair', 'kubernetes', 'crds']),
    only('fileserver-direction', 'fileserver', ['fileserver', 'native', 'protocol', 'pair', 'kubernetes']),
    only('testing-stands-alone', 'testing', ['testing']),
    only('operator-direction', 'operator', ['operator', 'pair', 'kubernetes', 'crds']),
    {
      name: 'deciding-code-does-no-io',
      severity: 'error',
      from: { path: '^operator/(model|desired|assess|plan)/', pathNot: '\\.test\\.ts$' },
      to: { dependencyTypes: ['core'] },
    },
    {
      name: 'no-dead-files',
      comment: 'A file that nothing imports and that is no entry point is dead.',
      severity: 'error',
      from: {
        orphan: true,
        pathNot: ['\\.test\\.ts$', '(^|/)main\\.ts$', '\\.d\\.ts$', '^bench/', '^e2e/', '^demo/'],
      },
      to: {},
    },
    { name: 'no-unresolvable', severity: 'error', from: {}, to: { couldNotResolve: true } },
  ],
  options: {
    doNotFollow: { path: 'node_modules' },
    tsConfig: { fileName: 'tsconfig.json' },
    tsPreCompilationDeps: true,
    enhancedResolveOptions: {
      exportsFields: ['exports'],
      conditionNames: ['import', 'node', 'default', 'types'],
    },
  },
};
