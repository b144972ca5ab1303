/** What administrators set while a pair runs: the interconnect, monitoring, maintenance, how changes reach running servers. */

import { z } from 'zod';
import { port, reference, set, text } from '../fields.ts';
import { withRules } from '../rule.ts';
import { serverName } from './servers.ts';

const issuerRef = z
  .object({
    group: z.string().min(1).max(253).default('cert-manager.io'),
    kind: z.enum(['Issuer', 'ClusterIssuer']).default('Issuer'),
    name: text('Name of the issuer.', 253),
  })
  .meta({ description: 'With source CertManager: who issues the certificates.' });

const interconnectTLS = withRules(
  z.object({
    source: z.enum(['Operator', 'Secrets', 'CertManager']).default('Operator').meta({
      description:
        'Operator: the operator issues and renews the certificates. Secrets: they are in the Secrets that spec.servers[].interconnectCertificateRef names. CertManager: the operator asks cert-manager for them.',
    }),
    issuerRef: issuerRef.optional(),
  }),
  [
    {
      cel: "(self.source == 'CertManager') == has(self.issuerRef)",
      message: 'issuerRef belongs to the source CertManager, which needs it',
      field: ['issuerRef'],
      holds: (self) => (self.source === 'CertManager') === (self.issuerRef !== undefined),
    },
  ],
);

export const interconnect = z
  .object({
    port: port('TCP port of the connection between the two servers.').default(7420),
    tls: interconnectTLS
      .prefault({})
      .meta({ description: 'How the servers prove to each other who they are.' }),
  })
  .meta({ description: 'The connection between the two servers.' });

export const monitoring = z
  .object({
    port: port('TCP port for health, status and metrics (HTTP, read only).').default(9090),
    tokenSecretRef: reference(
      'Secret with the key `token`, of 16 characters at least: servers tell status and metrics only to who shows it (`Authorization: Bearer TOKEN`). It must have the label `filerpair.dev/offered-to` with the name of the FilerPair. Absent: to everybody whom the NetworkPolicies let reach the port.',
    ).optional(),
  })
  .meta({ description: 'Health, status and metrics.' });

export const maintenance = z
  .object({
    reason: text('Why, for people: status and events show it.', 1024),
    drain: set(
      serverName('Name of a server.'),
      0,
      1,
      'Servers to take out of service: the partner serves their disk sets as long as they are listed, and gives them back when they are not, as spec.giveback says.',
    ).optional(),
    automaticMoves: z.enum(['Allowed', 'Paused']).default('Allowed').meta({
      description: 'Paused: no disk set changes its owner by itself, not even when a server fails.',
    }),
  })
  .meta({ description: 'Planned work. Level-triggered: it is in force as long as it stands here.' });

export const rollout = z
  .object({
    paused: z.boolean().default(false).meta({
      description:
        'true: running servers stay as they are when the spec changes, until it is false again. The servers complete a step that has begun.',
    }),
  })
  .meta({
    description:
      'How changes of the spec reach running servers: one after the other, each through a planned takeover and a giveback.',
  });
