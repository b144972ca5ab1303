/** The frame of the console's page: markup, styles for light and dark, and the script that keeps it up to date. Nothing from elsewhere. */
import { escaped } from './html.ts';

export const page = (title: string, main: string): string => `<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<title>${escaped(title)} - FilerPair</title><link rel="stylesheet" href="style.css"><link rel="icon" href="data:,"></head>
<body><a class="skip" href="#h-conditions">To the conditions</a><main>${main}</main>
<footer class="quiet">Read-only, with your own rights. <span id="connection" role="status">Live.</span></footer><script src="script.js"></script></body></html>
`;

export const STYLE = `:root { color-scheme: light dark; --paper: #fff; --ink: #1f2328; --quiet: #59636e; --line: #d1d9e0; --part: #f6f8fa; --blue: #0969da; --good: #1a7f37; --bad: #cf222e; --wait: #9a6700 }
@media (prefers-color-scheme: dark) { :root { --paper: #0d1117; --ink: #f0f6fc; --quiet: #9198a1; --line: #3d444d; --part: #151b23; --blue: #4493f8; --good: #3fb950; --bad: #f85149; --wait: #d29922 } }
body { margin: 0; font: 15px/1.5 system-ui, sans-serif; background: var(--paper); color: var(--ink) }
main, footer { max-width: 980px; margin: 0 auto; padding: 0 16px } main { padding-top: 16px } h1 { margin: 0 } h2 { font-size: 1.1rem; margin: 28px 0 8px }
#now { font-size: 1.1rem; margin: 4px 0 } .quiet, .quiet text { color: var(--quiet); fill: var(--quiet) } .bad { color: var(--bad) }
table { border-collapse: collapse; width: 100% } th, td { text-align: left; padding: 5px 10px 5px 0; border-bottom: 1px solid var(--line); vertical-align: top } thead th { color: var(--quiet); font-weight: 500 }
.number { text-align: right; font-variant-numeric: tabular-nums; white-space: nowrap } tr.good td:nth-child(2) { color: var(--good) } tr.bad td:nth-child(2) { color: var(--bad); font-weight: 600 }
.scroll { overflow-x: auto } details { border: 1px solid var(--line); border-radius: 8px; padding: 8px 12px; margin: 8px 0 } summary { cursor: pointer } .track { width: 50% } .track svg { width: 100%; height: 12px } .bar { fill: var(--blue) } .bar.after { fill: var(--line) }
meter { width: 220px } :focus-visible { outline: 2px solid var(--blue); outline-offset: 2px }
.skip { position: absolute; left: -999px } .skip:focus { left: 8px; top: 8px; background: var(--paper); padding: 4px 8px } .sr { position: absolute; width: 1px; height: 1px; overflow: hidden; clip-path: inset(50%) }
.pair { width: 100%; height: auto } .pair text { fill: var(--ink); font-size: 14px } .pair .name { font-weight: 600; font-size: 16px } .pair .quiet { fill: var(--quiet); font-size: 12.5px } .pair .middle { text-anchor: middle }
.server rect { fill: var(--part); stroke: var(--line); stroke-width: 2 } .server.up rect { stroke: var(--good) } .server.down rect { stroke: var(--bad); stroke-dasharray: 6 5 } .server.unknown rect { stroke-dasharray: 2 4 }
.link line { stroke: var(--line); stroke-width: 3 } .link.up line { stroke: var(--good) } .link.down line { stroke: var(--bad); stroke-dasharray: 6 5 }
.path line { stroke: var(--blue); stroke-width: 3 } .path.waits line { stroke: var(--wait); stroke-dasharray: 4 4 } .disks path, .disks ellipse { fill: var(--part); stroke: var(--quiet); stroke-width: 1.5 }
.chip { transition: transform .6s ease-in-out } .chip rect { fill: var(--paper); stroke: var(--blue); stroke-width: 2 } .chip.waits rect { stroke: var(--wait); stroke-dasharray: 4 4 }
footer { padding-bottom: 24px; margin-top: 28px }
@media (prefers-reduced-motion: reduce) { .chip { transition: none } }
`;

/** Puts what has changed into what is there: focus, open details and elements that move stay what they are. */
export const SCRIPT = `'use strict';
const same = (a, b) => a.nodeType === b.nodeType && a.nodeName === b.nodeName && (a.id || '') === (b.id || '');
const merge = (old, now) => {
  if (!same(old, now)) { old.replaceWith(now); return; }
  if (old.nodeType !== 1) { if (old.data !== now.data) old.data = now.data; return; }
  for (const { name } of [...old.attributes]) if (!now.hasAttribute(name) && !(old.nodeName === 'DETAILS' && name === 'open')) old.removeAttribute(name);
  for (const { name, value } of [...now.attributes]) {
    if (old.nodeName === 'DETAILS' && name === 'open') continue;
    if (name === 'style') { const to = now.style.transform; if (old.style.transform !== to) old.style.transform = to; continue; }
    if (old.getAttribute(name) !== value) old.setAttribute(name, value);
  }
  const [olds, nows] = [[...old.childNodes], [...now.childNodes]];
  nows.forEach((child, at) => { if (olds[at]) merge(olds[at], child); else old.append(child); });
  olds.slice(nows.length).forEach((child) => child.remove());
};
const main = document.querySelector('main');
const connection = document.getElementById('connection');
const events = new EventSource('events');
events.onopen = () => { connection.textContent = 'Live.'; };
events.onmessage = ({ data }) => {
  const parsed = new DOMParser().parseFromString('<main>' + JSON.parse(data) + '</main>', 'text/html');
  merge(main, parsed.querySelector('main'));
};
events.onerror = () => { connection.textContent = 'No connection with the command that serves this page: what is shown is old.'; };
`;
