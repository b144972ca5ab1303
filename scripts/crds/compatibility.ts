/**
 * What a new CustomResourceDefinition takes away from the users of an older one: fields, values, defaults. Objects that were accepted
 * must stay accepted and mean the same, and what a program of the older version writes must not be dropped.
 */

type Json = Readonly<Record<string, unknown>>;

export interface Definition {
  readonly metadata: { readonly name: string };
  readonly spec: {
    readonly scope: string;
    readonly names: { readonly kind: string; readonly plural: string };
    readonly versions: readonly {
      readonly name: string;
      readonly served: boolean;
      readonly schema: { readonly openAPIV3Schema: Json };
      readonly selectableFields?: readonly { readonly jsonPath: string }[];
    }[];
  };
}

/** One sentence for each incompatibility, with its place; none: the new definition can replace the old one. */
export function incompatibilities(old: Definition, now: Definition | undefined): string[] {
  const { name } = old.metadata;
  if (now === undefined) return [`${name}: the definition is gone`];
  const [kind, kindNow] = [
    `${old.spec.scope} ${old.spec.names.kind}`,
    `${now.spec.scope} ${now.spec.names.kind}`,
  ];
  return [
    ...(kind === kindNow ? [] : [`${name}: it was ${kind} and is ${kindNow}`]),
    ...old.spec.versions
      .filter(({ served }) => served)
      .flatMap((version) => {
        const its = now.spec.versions.find((one) => one.name === version.name);
        if (its?.served !== true) return [`${name}: version ${version.name} is not served any more`];
        const selectable = new Set((its.selectableFields ?? []).map(({ jsonPath }) => jsonPath));
        return [
          ...(version.selectableFields ?? [])
            .filter(({ jsonPath }) => !selectable.has(jsonPath))
            .map(({ jsonPath }) => `${name}: ${jsonPath} is not selectable any more`),
          ...narrowed(version.schema.openAPIV3Schema, its.schema.openAPIV3Schema).map(
            (one) => `${name} ${version.name}: ${one}`,
          ),
        ];
      }),
  ];
}

/** Must not change at all. */
const FIXED = [
  'type',
  'format',
  'default',
  'x-kubernetes-list-type',
  'x-kubernetes-map-type',
  'x-kubernetes-int-or-string',
];
const LOWER_BOUNDS = ['minimum', 'minLength', 'minItems', 'minProperties'];
const UPPER_BOUNDS = ['maximum', 'maxLength', 'maxItems', 'maxProperties'];

const text = (value: unknown): string => (value === undefined ? 'absent' : JSON.stringify(value));
const listOf = (value: unknown): readonly unknown[] => (Array.isArray(value) ? value : []);
const same = (a: unknown, b: unknown): boolean => JSON.stringify(sorted(a)) === JSON.stringify(sorted(b));
const sorted = (value: unknown): unknown =>
  typeof value === 'object' && value !== null && !Array.isArray(value)
    ? Object.fromEntries(
        Object.entries(value)
          .toSorted(([a], [b]) => (a < b ? -1 : 1))
          .map(([key, one]) => [key, sorted(one)]),
      )
    : value;

function narrowed(old: Json, now: Json, path = ''): string[] {
  const at = path === '' ? 'the object' : path;
  const found: string[] = [];
  for (const member of FIXED)
    if (!same(old[member], now[member]))
      found.push(`${at}: ${member} was ${text(old[member])} and is ${text(now[member])}`);
  if (!same(old['x-kubernetes-list-map-keys'], now['x-kubernetes-list-map-keys']))
    found.push(`${at}: the keys of the list have changed`);
  // Whether a pattern accepts all that another one does, nobody can tell from the two.
  if (now['pattern'] !== undefined && now['pattern'] !== old['pattern'])
    found.push(`${at}: pattern was ${text(old['pattern'])} and is ${text(now['pattern'])}`);
  for (const bound of LOWER_BOUNDS) {
    const [before = Number.NEGATIVE_INFINITY, after = before] = [old[bound], now[bound]] as [
      number?,
      number?,
    ];
    if (after > before) found.push(`${at}: ${bound} was ${text(old[bound])} and is ${after}`);
  }
  for (const bound of UPPER_BOUNDS) {
    const [before = Number.POSITIVE_INFINITY, after = before] = [old[bound], now[bound]] as [
      number?,
      number?,
    ];
    if (after < before) found.push(`${at}: ${bound} was ${text(old[bound])} and is ${after}`);
  }
  if (now['enum'] !== undefined) {
    const left = new Set(listOf(now['enum']));
    const gone = listOf(old['enum']).filter((value) => !left.has(value));
    if (old['enum'] === undefined)
      found.push(`${at}: only some values are allowed now: ${text(now['enum'])}`);
    else if (gone.length > 0) found.push(`${at}: values are gone: ${gone.join(', ')}`);
  }
  if (old['nullable'] === true && now['nullable'] !== true) found.push(`${at}: null is refused now`);
  if (
    old['x-kubernetes-preserve-unknown-fields'] === true &&
    now['x-kubernetes-preserve-unknown-fields'] !== true
  )
    found.push(`${at}: unknown members are dropped now`);
  return [...found, ...required(old, now, at), ...rules(old, now, at), ...inside(old, now, path)];
}

function required(old: Json, now: Json, at: string): string[] {
  const before = new Set(listOf(old['required']));
  return listOf(now['required'])
    .filter((member) => !before.has(member))
    .map((member) => `${at}: ${member} is required now`);
}

const propertiesOf = (schema: Json): Readonly<Record<string, Json>> =>
  (schema['properties'] ?? {}) as Readonly<Record<string, Json>>;

/** A new rule may be about new members only: it must begin with `!has(self.MEMBER) ||`. */
function rules(old: Json, now: Json, at: string): string[] {
  const ruleOf = (one: unknown): string => (one as { readonly rule: string }).rule;
  const before = new Set(listOf(old['x-kubernetes-validations']).map(ruleOf));
  const added = Object.keys(propertiesOf(now)).filter((name) => !(name in propertiesOf(old)));
  return listOf(now['x-kubernetes-validations'])
    .map(ruleOf)
    .filter((rule) => !before.has(rule) && !added.some((name) => rule.startsWith(`!has(self.${name}) ||`)))
    .map((rule) => `${at}: a new rule could refuse what was accepted: ${rule}`);
}

function inside(old: Json, now: Json, path: string): string[] {
  const members = Object.entries(propertiesOf(old)).flatMap(([name, schema]) => {
    const place = path === '' ? name : `${path}.${name}`;
    const its = propertiesOf(now)[name];
    return its === undefined ? [`${place}: the field is gone`] : narrowed(schema, its, place);
  });
  const parts = (['items', 'additionalProperties'] as const).flatMap((member) => {
    const [before, after] = [old[member], now[member]] as [Json?, Json?];
    const place = `${path}${member === 'items' ? '[]' : '.*'}`;
    if (before === undefined) return [];
    return after === undefined ? [`${place}: its schema is gone`] : narrowed(before, after, place);
  });
  return [...members, ...parts];
}
