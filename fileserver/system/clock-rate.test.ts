import { execFileSync } from 'node:child_process';
import { expect, it } from 'vitest';
import { clockSlew, slewOf } from './clock-rate.ts';

/** What the kernel says, by way of a C compiler's own idea of struct timex: Python's would be as good. */
function byPython(): { tick: number; freq: number } {
  const program = `
import ctypes, json
class timeval(ctypes.Structure):
    _fields_ = [('sec', ctypes.c_long), ('usec', ctypes.c_long)]
class timex(ctypes.Structure):
    _fields_ = [('modes', ctypes.c_uint), ('offset', ctypes.c_long), ('freq', ctypes.c_long), ('maxerror', ctypes.c_long),
        ('esterror', ctypes.c_long), ('status', ctypes.c_int), ('constant', ctypes.c_long), ('precision', ctypes.c_long),
        ('tolerance', ctypes.c_long), ('time', timeval), ('tick', ctypes.c_long), ('rest', ctypes.c_long * 20)]
t = timex()
assert ctypes.CDLL('libc.so.6').adjtimex(ctypes.byref(t)) >= 0
print(json.dumps({'tick': t.tick, 'freq': t.freq}))`;
  return JSON.parse(execFileSync('python3', ['-c', program], { encoding: 'utf8' }));
}

const hasPython = (() => {
  try {
    execFileSync('python3', ['--version']);
    return true;
  } catch {
    return false;
  }
})();

it.runIf(hasPython)('says what the kernel has been told', () => {
  const { tick, freq } = byPython();
  expect(tick).toBeGreaterThan(8000);
  expect(clockSlew()).toBeCloseTo(tick / 10_000 - 1 + freq / 65_536 / 1e6, 4);
});

it('counts both the tick and the frequency', () => {
  const timex = Buffer.alloc(208);
  timex.writeBigInt64LE(10_800n, 88);
  timex.writeBigInt64LE(BigInt(-500 * 65_536), 16);
  expect(slewOf(timex)).toBeCloseTo(0.08 - 0.0005, 9);
});
