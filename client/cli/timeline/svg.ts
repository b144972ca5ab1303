/** The frame of each picture: paper, styles for light and dark screens, and the head of an arrow. */

/** Width of each picture, px. */
export const WIDTH = 1000;
/** Between the paper's edge and its content, px. */
export const MARGIN = 12;

/** @param elements SVG elements, in the order in which they are drawn */
export function svg(title: string, height: number, elements: readonly string[]): string {
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${height}" role="img" aria-label="${escaped(title)}">`,
    STYLE,
    '<defs><marker id="head" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7" markerHeight="7" orient="auto">',
    '<path class="head" d="M0 0 8 4 0 8z"/></marker>',
    '<marker id="tail" viewBox="0 0 8 8" refX="1" refY="4" markerWidth="7" markerHeight="7" orient="auto">',
    '<path class="head" d="M8 0 0 4 8 8z"/></marker></defs>',
    `<rect class="paper" width="${WIDTH}" height="${height}"/>`,
    ...elements,
    '</svg>',
    '',
  ].join('\n');
}

export function escaped(text: string): string {
  return text
    .replaceAll('&', '&amp;')
    .replaceAll('<', '&lt;')
    .replaceAll('>', '&gt;')
    .replaceAll('"', '&quot;');
}

/** The reader's system decides; the picture brings its own paper, so that no page shines through. */
const STYLE = `<style>
text { font: 12px system-ui, sans-serif; text-anchor: middle; fill: #1f2328 }
text[text-anchor="start"] { text-anchor: start } text[text-anchor="end"] { text-anchor: end }
.name { font-weight: 600 } .where { font-size: 11px; fill: #59636e }
.step { paint-order: stroke; stroke: #fff; stroke-width: 4px }
.paper { fill: #fff } .part { fill: #eaf2fb; stroke: #0969da }
.life { stroke: #d1d9e0; stroke-dasharray: 3 3 } .arrow { stroke: #0969da; stroke-width: 1.4 } .head, .dot { fill: #0969da }
@media (prefers-color-scheme: dark) {
text { fill: #f0f6fc } .where { fill: #9198a1 } .step { stroke: #0d1117 }
.paper { fill: #0d1117 } .part { fill: #121d2f; stroke: #4493f8 }
.life { stroke: #3d444d } .arrow { stroke: #4493f8 } .head, .dot { fill: #4493f8 }
}
</style>`;
