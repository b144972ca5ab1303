/** The alert rules by promtool: they are valid, and fire when alert-rules.test.yaml says so and at no other time. */
import { copyFileSync, mkdirSync } from 'node:fs';
import { join } from 'node:path';
import type { PrometheusPrograms } from '../environment.ts';
import { run } from '../machine/command.ts';
import { say } from '../machine/stage.ts';

/** @throws CommandFailed with what promtool says */
export async function testAlertRules({ promtool }: PrometheusPrograms, repository: string): Promise<void> {
  const directory = join(repository, '.cache/alerts');
  mkdirSync(directory, { recursive: true });
  copyFileSync(join(repository, 'helm/filerpair/files/alerts.yaml'), join(directory, 'alerts.yaml'));
  copyFileSync(
    join(repository, 'e2e/monitoring/alert-rules.test.yaml'),
    join(directory, 'alert-rules.test.yaml'),
  );
  say(await run([promtool, 'check', 'rules', 'alerts.yaml'], { cwd: directory }));
  say(await run([promtool, 'test', 'rules', 'alert-rules.test.yaml'], { cwd: directory }));
}
