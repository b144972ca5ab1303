/**
 * Says when the configuration file has other contents. It looks once a second instead of waiting for the kernel's notifications.
 * On Kubernetes the file is a ConfigMap's, behind two symbolic links of which the kubelet exchanges one. A watch on the file
 * would go on watching the old one. A file that is missing for a moment, as while somebody writes it anew, is no news.
 */

import { readFile, stat } from 'node:fs/promises';
import { inBackground } from '../system/turns.ts';

/** Between two looks. ms */
const EVERY_MS = 1000;

export interface ConfigWatchOptions {
  readonly file: string;
  /** Contents that are known already. */
  readonly text: string;
  readonly changed: (text: string) => void;
  readonly everyMs?: number;
}

export class ConfigWatch {
  readonly #options: ConfigWatchOptions;
  #text: string;
  /** Stamp of the file when it was read last: reading it again is not worth while before the stamp changes. */
  #seen: string;
  #timer: NodeJS.Timeout | null;

  constructor(options: ConfigWatchOptions) {
    this.#options = options;
    this.#text = options.text;
    this.#seen = '';
    this.#timer = null;
  }

  start(): void {
    const { everyMs = EVERY_MS } = this.#options;
    this.#timer = setTimeout(() => {
      inBackground(
        this.#look().finally(() => {
          if (this.#timer !== null) this.start();
        }),
      );
    }, everyMs);
    this.#timer.unref();
  }

  stop(): void {
    if (this.#timer !== null) clearTimeout(this.#timer);
    this.#timer = null;
  }

  async #look(): Promise<void> {
    const { file, changed } = this.#options;
    let text: string;
    try {
      const { dev, ino, size, mtimeNs } = await stat(file, { bigint: true });
      const looks = [dev, ino, size, mtimeNs].join();
      if (looks === this.#seen) return;
      text = await readFile(file, 'utf8');
      this.#seen = looks;
    } catch {
      return;
    }
    if (text === this.#text || this.#timer === null) return;
    this.#text = text;
    changed(text);
  }
}
