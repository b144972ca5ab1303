/** The FilerPair resource: two file servers that cover for each other. */

import { z } from 'zod';
import { apiVersion } from '../group.ts';
import { withRules } from '../rule.ts';
import { PAIR_NAME_MAX } from './exposure.ts';
import { filerPairSpec } from './spec.ts';
import { filerPairStatus } from './status.ts';

export const pairNameRule = `the name of a FilerPair must be a DNS label of at most ${PAIR_NAME_MAX} characters: lower case letters, digits and -, first a letter, no dots`;

interface Named {
  readonly metadata: { readonly name: string };
  readonly spec: z.output<typeof filerPairSpec>;
}

/** Name of a server's Service; clients know the server by it. */
export const serviceNameOf = (
  pair: string,
  server: { readonly name: string; readonly serviceName?: string | undefined },
): string => server.serviceName ?? `${pair}-${server.name}`;

const celName = (server: string): string =>
  `(has(${server}.serviceName) ? ${server}.serviceName : self.metadata.name + '-' + ${server}.name)`;

const celDifferent = (a: string, b: string): string =>
  [
    `${a} != ${b}`,
    ...['self.spec.names.failoverSuffix', "'-interconnect'"].flatMap((suffix) => [
      `${a} != ${b} + ${suffix}`,
      `${b} != ${a} + ${suffix}`,
    ]),
  ].join(' && ');

const serviceNames = ({ metadata, spec }: Named): string[] =>
  spec.servers.map((server) => serviceNameOf(metadata.name, server));

export const filerPair = withRules(
  z.object({
    apiVersion: z.literal(apiVersion),
    kind: z.literal('FilerPair'),
    metadata: z.looseObject({ name: z.string() }),
    spec: filerPairSpec,
    status: filerPairStatus.optional(),
  }),
  [
    {
      cel: `self.metadata.name.matches('^[a-z]([-a-z0-9]*[a-z0-9])?$') && size(self.metadata.name) <= ${PAIR_NAME_MAX}`,
      message: pairNameRule,
      field: ['metadata', 'name'],
      holds: ({ metadata: { name } }) =>
        /^[a-z]([-a-z0-9]*[a-z0-9])?$/.test(name) && name.length <= PAIR_NAME_MAX,
    },
    {
      cel: celDifferent(celName('self.spec.servers[0]'), celName('self.spec.servers[1]')),
      message:
        'the names of the two servers’ Services, of their failover Services and of their interconnect must all be different',
      field: ['spec', 'servers'],
      holds: (self) => {
        const [a = '', b = ''] = serviceNames(self);
        const added = [self.spec.names.failoverSuffix, '-interconnect'];
        return a !== b && added.every((suffix) => a !== b + suffix && b !== a + suffix);
      },
    },
  ],
);
