/** The commands of a page, as a reader copies them. */

/**
 * What stands below a heading, up to the next one of its level or above.
 *
 * @param heading with its number signs
 */
export function sectionBelow(markdown: string, heading: string): string {
  const level = heading.indexOf(' ');
  const from = markdown.indexOf(`\n${heading}\n`);
  if (from === -1) throw new Error(`there is no "${heading}"`);
  const rest = markdown.slice(from + heading.length + 2);
  const end = rest.search(new RegExp(`^#{1,${level}} `, 'm'));
  return end === -1 ? rest : rest.slice(0, end);
}

/** The code blocks for a shell there, as one script. */
export function blocksBelow(markdown: string, heading: string): string {
  const section = sectionBelow(markdown, heading);
  const blocks = [...section.matchAll(/^```sh\n(.*?)^```$/gms)].map(([, block]) => block!);
  if (blocks.length === 0) throw new Error(`there are no commands below "${heading}"`);
  return blocks.join('\n');
}
