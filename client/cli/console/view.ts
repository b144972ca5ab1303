/** The console's page for a state: the picture, conditions, transitions by phase, figures, capacity. HTML. Pure. */
import { escaped } from './html.ts';
import { inWords, picture } from './picture.ts';
import type { ConsoleState, ShownDiskSet, ShownTransition } from './state.ts';

/** Between <main> and </main>. `now`: ms since the epoch. */
export function view(state: ConsoleState, now: number): string {
  return [
    `<h1>${escaped(state.title)}</h1>`,
    `<p id="now" role="status" aria-live="polite">${escaped(headline(state))}</p>`,
    state.problem === null ? '' : `<p id="problem" class="bad" role="alert">${escaped(state.problem)}</p>`,
    `<section aria-labelledby="h-pair"><h2 id="h-pair">The pair</h2>${picture(state)}<p class="sr">${escaped(inWords(state))}</p></section>`,
    conditions(state, now),
    transitions(state, now),
    figures(state),
    capacity(state),
  ].join('\n');
}

/** In one sentence: what a screen reader says when it changes. */
export function headline({ diskSets }: ConsoleState): string {
  if (diskSets.length === 0) return 'Nothing is known of the disk sets yet.';
  const waiting = diskSets.filter(({ served }) => !served).map(({ home }) => home);
  if (waiting.length > 0) return `Clients of ${waiting.join(' and ')} wait.`;
  const away = diskSets.filter(({ home, owner }) => owner !== home);
  if (away.length === 0) return 'Everything is served, each disk set by its own server.';
  return `Everything is served; ${away.map(({ home, owner }) => `${owner} serves ${home}`).join(', ')}.`;
}

function conditions({ conditions: all }: ConsoleState, now: number): string {
  if (all.length === 0) return '';
  const rows = all.map(
    ({ type, status, reason, message, since, good }) =>
      `<tr class="${good ? 'good' : 'bad'}"><th scope="row">${escaped(type)}</th><td><span aria-hidden="true">${good ? '✓' : '!'}</span> ${escaped(status)}</td><td>${escaped(reason)}</td><td>${escaped(message)}</td><td>${ago(since, now)}</td></tr>`,
  );
  return `<section aria-labelledby="h-conditions"><h2 id="h-conditions">Conditions</h2><div class="scroll" tabindex="0" role="region" aria-labelledby="h-conditions"><table><thead><tr><th scope="col">Condition</th><th scope="col">Status</th><th scope="col">Reason</th><th scope="col">In words</th><th scope="col">Since</th></tr></thead><tbody>${rows.join('')}</tbody></table></div></section>`;
}

function transitions({ transitions: all }: ConsoleState, now: number): string {
  const shown = all.slice(0, 8).map((one, at) => transition(one, at, now));
  const none = '<p>No disk set has changed its owner yet.</p>';
  return `<section aria-labelledby="h-transitions"><h2 id="h-transitions">Changes of owner</h2>${shown.join('') || none}</section>`;
}

function transition(
  { diskSet, kind, cause, to, epoch, time, durationMs, phases }: ShownTransition,
  at: number,
  now: number,
): string {
  const endMs = Math.max(1, ...phases.map(({ offsetMs, durationMs: took }) => offsetMs + took));
  const rows = phases.map(({ name, offsetMs, durationMs: took }) => {
    const left = (100 * offsetMs) / endMs;
    const width = Math.max(0.6, (100 * took) / endMs);
    return `<tr><th scope="row">${escaped(name)}</th><td class="number">${ms(offsetMs)}</td><td class="number">${ms(took)}</td><td class="track" aria-hidden="true"><svg viewBox="0 0 100 6" preserveAspectRatio="none"><rect class="bar ${name === 'firstReply' ? 'after' : ''}" x="${left.toFixed(2)}" width="${width.toFixed(2)}" height="6"/></svg></td></tr>`;
  });
  return [
    `<details id="transition-${escaped(diskSet)}-${epoch}" ${at === 0 ? 'open' : ''}>`,
    `<summary><strong>${escaped(kind)}</strong> of ${escaped(diskSet)} to ${escaped(to)} in ${ms(durationMs)}, ${ago(time, now)} (${escaped(cause)}, epoch ${epoch})</summary>`,
    `<table><thead><tr><th scope="col">Phase</th><th scope="col" class="number">From</th><th scope="col" class="number">Took</th><th scope="col" aria-hidden="true"></th></tr></thead><tbody>${rows.join('')}</tbody></table></details>`,
  ].join('');
}

function figures({ diskSets, withoutFigures }: ConsoleState): string {
  const number = (value: number | null | undefined, digits = 0): string =>
    value === null || value === undefined ? '–' : value.toFixed(digits);
  const rows = diskSets.map(
    ({ home, figures: some }) =>
      `<tr><th scope="row">${escaped(home)}</th><td class="number">${number(some?.callsPerSecond)}</td><td class="number">${bytes(some?.readBytesPerSecond)}</td><td class="number">${bytes(some?.writtenBytesPerSecond)}</td><td class="number">${number(some?.medianMs, 2)}</td><td class="number">${number(some?.p99Ms, 2)}</td></tr>`,
  );
  const why = withoutFigures === null ? '' : `<p class="quiet">${escaped(withoutFigures)}</p>`;
  return `<section aria-labelledby="h-figures"><h2 id="h-figures">Throughput and latency</h2>${why}<table><thead><tr><th scope="col">Disk set</th><th scope="col" class="number">Calls a second</th><th scope="col" class="number">Read a second</th><th scope="col" class="number">Written a second</th><th scope="col" class="number">Median, ms</th><th scope="col" class="number">99th percentile, ms</th></tr></thead><tbody>${rows.join('')}</tbody></table></section>`;
}

function capacity({ diskSets }: ConsoleState): string {
  const rows = diskSets.flatMap(({ home, volumes }: ShownDiskSet) =>
    volumes.map(({ name, sizeBytes, availableBytes }) => {
      const used = sizeBytes - availableBytes;
      const percent = Math.round((100 * used) / Math.max(1, sizeBytes));
      return `<tr><th scope="row">${escaped(home)}: ${escaped(name)}</th><td><meter min="0" max="100" low="80" high="90" optimum="0" value="${percent}" aria-label="${percent} percent used"></meter></td><td class="number">${percent} %</td><td class="number">${bytes(availableBytes)} left of ${bytes(sizeBytes)}</td></tr>`;
    }),
  );
  if (rows.length === 0) return '';
  return `<section aria-labelledby="h-capacity"><h2 id="h-capacity">Capacity</h2><table><thead><tr><th scope="col">Volume</th><th scope="col">Used</th><th scope="col" class="number">Part</th><th scope="col" class="number">Room</th></tr></thead><tbody>${rows.join('')}</tbody></table></section>`;
}

const ms = (value: number): string =>
  value < 1000 ? `${Math.round(value * 10) / 10} ms` : `${(value / 1000).toFixed(1)} s`;

function bytes(value: number | null | undefined): string {
  if (value === null || value === undefined) return '–';
  const units = ['B', 'KiB', 'MiB', 'GiB', 'TiB', 'PiB'];
  let [rest, unit] = [value, 0];
  while (rest >= 1024 && unit < units.length - 1) [rest, unit] = [rest / 1024, unit + 1];
  return `${unit === 0 ? Math.round(rest) : rest.toFixed(1)} ${units[unit]}`;
}

function ago(time: string, now: number): string {
  const seconds = Math.max(0, Math.floor((now - Date.parse(time)) / 1000));
  if (Number.isNaN(seconds)) return 'at an unknown time';
  if (seconds < 120) return `${seconds} s ago`;
  const minutes = Math.floor(seconds / 60);
  return minutes < 120 ? `${minutes} min ago` : `${Math.floor(minutes / 60)} h ago`;
}
