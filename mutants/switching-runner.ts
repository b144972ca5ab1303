/**
 * Vitest's runner for files with switched mutants (switched.ts): runs each test as it is, then once for each mutant that the test
 * has reached and nobody has noticed yet.
 */
import { appendFileSync, readFileSync } from 'node:fs';
import { setEnvironmentData } from 'node:worker_threads';
import { TestRunner } from 'vitest';
import { SWITCHES } from './switches.ts';

// What came out is written to a file line by line, since a mutant may never let it end:
//
//   begun NUMBER | passed NUMBER NAME | killed NUMBER | restart NUMBER | broken NAME (it fails without a mutant) | done
//
// A mutant may leave something behind that makes later ones fail. So after each that fails the test runs without a mutant; when
// that fails too, it counts only if it was the first of its process. Otherwise the process ends, and is begun again with it.

const { MUTANTS_TOLD: told = '', MUTANTS_TODO: todoFile = '' } = process.env;

const NONE = -1;
const switches = new Int32Array(new SharedArrayBuffer(4 * (1 + Number(process.env['MUTANTS_COUNT']))));
switches[0] = NONE;
setEnvironmentData(SWITCHES, switches);

const tell = (line: string): void => appendFileSync(told, `${line}\n`);

interface Try {
  readonly kind: 'record' | 'mutant' | 'check';
  readonly number: number;
}

export default class SwitchingRunner extends TestRunner {
  /** Mutants that nobody has noticed. */
  readonly #todo: number[] = JSON.parse(readFileSync(todoFile, 'utf8'));
  readonly #passed = new Set(
    readFileSync(told, 'utf8')
      .split('\n')
      .filter((line) => line.startsWith('passed ')),
  );
  /** Of this process: a mutant has run. */
  #anyRan = false;
  #queue: number[] = [];
  #now: Try = { kind: 'record', number: NONE };

  override async onBeforeRunTask(test: Parameters<TestRunner['onBeforeRunTask']>[0]): Promise<void> {
    await super.onBeforeRunTask(test);
    this.#now = { kind: 'record', number: NONE };
    if (test.mode === 'run' || test.mode === 'queued') test.repeats = Number.MAX_SAFE_INTEGER;
  }

  override onBeforeTryTask(test: Parameters<TestRunner['onBeforeTryTask']>[0]): void {
    super.onBeforeTryTask(test);
    const { kind, number } = this.#now;
    switches[0] = kind === 'mutant' ? number : NONE;
    if (kind === 'record') switches.fill(0, 1);
    if (kind === 'mutant') tell(`begun ${number}`);
  }

  onAfterRetryTask(test: Parameters<TestRunner['onBeforeTryTask']>[0]): void {
    switches[0] = NONE;
    const failed = test.result!.state === 'fail';
    const name = `${test.file.name} > ${test.name}`;
    const { kind, number } = this.#now;
    if (kind === 'record') {
      // What an earlier mutant has left behind may be the cause: again in a process of its own.
      if (failed && this.#anyRan) this.#restart(NONE);
      if (failed) tell(`broken ${name}: ${test.result!.errors?.[0]?.message}`);
      this.#queue = failed
        ? []
        : this.#todo.filter((one) => switches[one + 1] === 1 && !this.#passed.has(`passed ${one} ${name}`));
    } else if (kind === 'mutant' && !failed) tell(`passed ${number} ${name}`);
    else if (kind === 'mutant' && !this.#anyRan) this.#killed(number);
    else if (kind === 'check') {
      if (failed) this.#restart(number);
      this.#killed(number);
    }
    const isToCheck = kind === 'mutant' && failed && this.#anyRan;
    if (kind === 'mutant') this.#anyRan = true;
    test.result!.errors = [];
    test.result!.state = 'run';
    if (isToCheck) this.#now = { kind: 'check', number };
    else {
      const next = this.#queue.shift();
      this.#now = { kind: 'mutant', number: next ?? NONE };
      // Ends the repetitions.
      if (next === undefined) test.result!.state = 'skip';
    }
  }

  override onAfterRunFiles(): void {
    super.onAfterRunFiles();
    tell('done');
  }

  /** The next process begins with this mutant. */
  #restart(number: number): never {
    tell(`restart ${number}`);
    process.kill(process.pid, 'SIGKILL');
    throw new Error('killed');
  }

  #killed(number: number): void {
    tell(`killed ${number}`);
    this.#todo.splice(this.#todo.indexOf(number), 1);
  }
}
