// Writes plain JSON data as block-style YAML, with the same bytes every time. Strings are quoted as JSON unless they
// cannot be taken for anything else; JSON strings are YAML.

const plain = /^[A-Za-z][A-Za-z0-9 ._/()-]*$/;
const reserved = /^(true|false|null|yes|no|on|off|y|n)$/i;

const scalar = (value: unknown): string =>
  typeof value === 'string' && plain.test(value) && !reserved.test(value) && !value.endsWith(' ')
    ? value
    : JSON.stringify(value);

const key = (name: string): string =>
  /^[A-Za-z_$][A-Za-z0-9_./$-]*$/.test(name) && !reserved.test(name) ? name : JSON.stringify(name);

const isEmpty = (value: object): boolean => Object.keys(value).length === 0;

export function toYaml(value: unknown, indent = ''): string {
  if (typeof value !== 'object' || value === null) return `${indent}${scalar(value)}\n`;
  if (isEmpty(value)) return `${indent}${Array.isArray(value) ? '[]' : '{}'}\n`;
  if (Array.isArray(value))
    return value.map((item) => `${indent}- ${toYaml(item, `${indent}  `).slice(indent.length + 2)}`).join('');
  return Object.entries(value)
    .filter(([, child]) => child !== undefined)
    .map(([name, child]) =>
      typeof child === 'object' && child !== null && !isEmpty(child)
        ? `${indent}${key(name)}:\n${toYaml(child, `${indent}  `)}`
        : `${indent}${key(name)}: ${toYaml(child).trimEnd()}\n`,
    )
    .join('');
}
