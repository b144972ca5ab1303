/** The CustomResourceDefinitions, made from the zod schemas. */

import { BUNDLE_VERSION, bundleVersionAnnotation, GROUP, VERSION } from './group.ts';
import type { Kind } from './kinds.ts';
import { type Schema, structuralSchema } from './structural-schema.ts';

export function customResourceDefinition({
  kind,
  plural,
  shortNames,
  scope,
  description,
  schema,
  columns,
  selectableFields = [],
}: Kind) {
  const { properties, 'x-kubernetes-validations': validations } = structuralSchema(schema);
  const { spec, status } = properties as { spec: Schema; status?: Schema };
  return {
    apiVersion: 'apiextensions.k8s.io/v1',
    kind: 'CustomResourceDefinition',
    metadata: {
      name: `${plural}.${GROUP}`,
      // The chart upgrades the definition but never removes it: with it would go every object.
      annotations: {
        'helm.sh/resource-policy': 'keep',
        [bundleVersionAnnotation]: BUNDLE_VERSION,
      },
    },
    spec: {
      group: GROUP,
      names: {
        kind,
        listKind: `${kind}List`,
        plural,
        singular: kind.toLowerCase(),
        shortNames: [...shortNames],
        // `kubectl get filer`. Under the name of a kind kubectl would take the kind for the category.
        categories: ['filer'],
      },
      scope,
      versions: [
        {
          name: VERSION,
          served: true,
          storage: true,
          subresources: { status: {} },
          ...(selectableFields.length === 0
            ? {}
            : { selectableFields: selectableFields.map((jsonPath) => ({ jsonPath })) }),
          additionalPrinterColumns: columns.map((column) => ({ ...column })),
          schema: {
            openAPIV3Schema: {
              type: 'object',
              description,
              required: ['spec'],
              properties: {
                apiVersion: { type: 'string' },
                kind: { type: 'string' },
                metadata: { type: 'object' },
                spec,
                ...(status === undefined
                  ? {}
                  : { status: { ...status, description: 'Written by the operator; never edit it.' } }),
              },
              ...(validations === undefined ? {} : { 'x-kubernetes-validations': validations }),
            },
          },
        },
      ],
    },
  };
}
