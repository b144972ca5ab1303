// Durations and sizes as Kubernetes writes them.

const unitMs: Readonly<Record<string, number>> = { ms: 1, s: 1000, m: 60_000, h: 3_600_000 };

export const durationPattern = /^([0-9]+(ms|s|m|h))+$/;

/** `1m30s` in ms; NaN if it is no duration. */
export function durationMs(text: string): number {
  if (!durationPattern.test(text)) return Number.NaN;
  let ms = 0;
  for (const [, count, unit] of text.matchAll(/([0-9]+)(ms|s|m|h)/g)) ms += Number(count) * unitMs[unit!]!;
  return ms;
}

export const quantityPattern = /^[0-9]+(\.[0-9]+)?(m|k|Ki|M|Mi|G|Gi|T|Ti|P|Pi|E|Ei)?$/;
