/** Exports as they were when an operation was recorded, whatever they are now. */
import { ExportSpecs } from '../../exports/export-specs.ts';
import type { ExportSpec } from '../../settings/export-spec.ts';
import type { Volume } from '../volume/volume.ts';
import { Export } from './export.ts';
import { ExportTable } from './export-table.ts';

const ANYTHING: Omit<ExportSpec, 'volume'> = {
  path: '/',
  clients: [],
  access: 'ReadWrite',
  squash: 'None',
  anonymousUid: 65534,
  anonymousGid: 65534,
};

/**
 * Any export that there ever was, for what was allowed and recorded then: whether it is exported now, to whom, and where its
 * directory is, says nothing about that.
 */
export class RecordedExports extends ExportTable {
  #recorded: readonly Export[] = [];

  constructor() {
    super(ExportSpecs.of([]), { make: () => null, locate: () => {} });
  }

  override of(volume: Volume, id: number): Export {
    const known = this.#recorded.find((one) => one.id === id && one.volume === volume);
    if (known !== undefined) return known;
    const one = new Export({ ...ANYTHING, volume: volume.spec.name }, volume, 'recorded', id);
    this.#recorded = [...this.#recorded, one];
    return one;
  }
}
