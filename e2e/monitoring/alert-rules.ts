/** The alert rules by promtool: they are valid, and fire when alert-rules.test.yaml and the recorded runs say so and at no other time. */
import { copyFileSync, mkdirSync } from 'node:fs';
import { join } from 'node:path';
import type { PrometheusPrograms } from '../environment.ts';
import { run } from '../machine/command.ts';
import { say } from '../machine/stage.ts';
import { RECORDED_SERVERS, RECORDED_TAKEOVERS } from './recording.ts';

/** By hand, for each alert; and series of real runs. */
const TESTS = ['alert-rules.test.yaml', RECORDED_TAKEOVERS, RECORDED_SERVERS];

/** @throws CommandFailed with what promtool says */
export async function testAlertRules({ promtool }: PrometheusPrograms, repository: string): Promise<void> {
  const directory = join(repository, '.cache/alerts');
  mkdirSync(directory, { recursive: true });
  copyFileSync(join(repository, 'helm/filerpair/files/alerts.yaml'), join(directory, 'alerts.yaml'));
  for (const name of TESTS) copyFileSync(join(repository, 'e2e/monitoring', name), join(directory, name));
  say(await run([promtool, 'check', 'rules', 'alerts.yaml'], { cwd: directory }));
  say(await run([promtool, 'test', 'rules', ...TESTS], { cwd: directory }));
}
