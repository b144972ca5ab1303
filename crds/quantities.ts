/** Durations and sizes as Kubernetes writes them. */

const unitMs: Readonly<Record<string, number>> = { ms: 1, s: 1000, m: 60_000, h: 3_600_000 };

/** GEP-2257: what both Go and people read, and no number that overflows. */
export const durationPattern = /^([0-9]{1,5}(h|m|s|ms)){1,4}$/;

/** `1m30s` in ms; NaN if it is no duration. */
export function durationMs(text: string): number {
  if (!durationPattern.test(text)) return Number.NaN;
  let ms = 0;
  for (const [, count, unit] of text.matchAll(/([0-9]+)(ms|s|m|h)/g)) ms += Number(count) * unitMs[unit!]!;
  return ms;
}

/** As an administrator would write it: 1m30s, 500ms. */
export function durationText(ms: number): string {
  const parts = (['h', 'm', 's', 'ms'] as const).map((unit) => {
    const count = Math.floor(ms / unitMs[unit]!);
    ms -= count * unitMs[unit]!;
    return count === 0 ? '' : `${count}${unit}`;
  });
  return parts.join('') || '0s';
}

export const quantityPattern = /^[0-9]+(\.[0-9]+)?(m|k|Ki|M|Mi|G|Gi|T|Ti|P|Pi|E|Ei)?$/;

/** Whole bytes and more than none: at least one digit that is not 0, and no thousandths. */
export const storageSizePattern =
  /^(0*[1-9][0-9]*(\.[0-9]+)?|0+\.0*[1-9][0-9]*)(k|Ki|M|Mi|G|Gi|T|Ti|P|Pi|E|Ei)?$/;

const factors: Readonly<Record<string, number>> = {
  '': 1,
  m: 1e-3,
  k: 1e3,
  M: 1e6,
  G: 1e9,
  T: 1e12,
  P: 1e15,
  E: 1e18,
  Ki: 2 ** 10,
  Mi: 2 ** 20,
  Gi: 2 ** 30,
  Ti: 2 ** 40,
  Pi: 2 ** 50,
  Ei: 2 ** 60,
};

/** A quantity as a number, `1500m` as 1.5; the API may write one in another unit than we did. NaN if it is none. */
export function amountOf(quantity: string): number {
  const [, number, suffix] = /^([0-9.]+)([A-Za-z]*)$/.exec(quantity) ?? [];
  return Number(number) * (factors[suffix ?? ''] ?? Number.NaN);
}
