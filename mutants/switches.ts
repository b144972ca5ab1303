/**
 * Name under which the threads of a process share an Int32Array (setEnvironmentData() of node:worker_threads): first the number
 * of the mutant that is switched on, then for each whether it has been reached. In a process that a test starts there is none.
 */
export const SWITCHES = 'mutants';
