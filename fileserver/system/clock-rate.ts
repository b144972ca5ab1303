/**
 * How fast the kernel's clocks run, as the machine's time service has set them: adjtimex(2), read only. CLOCK_BOOTTIME is slewed
 * with the wall clock, and rights to serve are measured on it.
 */
import koffi from 'koffi';

const adjtimex = koffi.load('libc.so.6').func('int adjtimex(void *timex)') as (timex: Buffer) => number;

/** struct timex on 64-bit Linux. */
const TIMEX_SIZE = 208;
/** long freq: parts per million with a 16-bit fraction. */
const FREQ_AT = 16;
/** long tick: microseconds that the wall clock moves with each tick of 1/100 s. */
const TICK_AT = 88;
const TICK_NOMINAL = 10_000;

/**
 * By which part of 1 the clocks are set to run fast (positive) or slow. That of the hardware comes on top; it is some
 * 0.0001 at most. Null: the process may not ask (a system call filter).
 */
export function clockSlew(): number | null {
  const timex = Buffer.alloc(TIMEX_SIZE);
  return adjtimex(timex) < 0 ? null : slewOf(timex);
}

/** Rate of a struct timex. */
export function slewOf(timex: Buffer): number {
  const tick = Number(timex.readBigInt64LE(TICK_AT));
  const freqPpm = Number(timex.readBigInt64LE(FREQ_AT)) / 65_536;
  return (tick - TICK_NOMINAL) / TICK_NOMINAL + freqPpm / 1e6;
}
