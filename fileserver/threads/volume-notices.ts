/** Lines for the log of a volume's opening: what clients and administrators may and may not expect of it. */
import type { Volume } from '../storage/volume/volume.ts';
import { identityCanChange } from '../system/thread-identity.ts';

export function logNotices(volume: Volume, log: (level: 'info' | 'warn', message: string) => void): void {
  const { name } = volume.spec;
  for (const warning of volume.warnings) log('warn', warning);
  if (volume.keyNotice !== null) log('info', volume.keyNotice);
  const flushes = volume.intents === 'writeOut' ? 'one flush' : 'two flushes';
  log('info', `volume ${name}: ${flushes} for a group of operations (${volume.intentsReason})`);
  if (volume.pathIndex !== null) {
    log(
      'warn',
      `volume ${name}: the kernel does not open file handles here (no root, no CAP_DAC_READ_SEARCH, or a file ` +
        `system without handles); files are found through an index in memory, which large volumes make slow`,
    );
  }
  if (!identityCanChange) {
    log('warn', `volume ${name}: without root all requests run as uid ${process.geteuid!()}`);
  }
}
