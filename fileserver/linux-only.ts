/**
 * Imported before everything else by the programs that need Linux: on another system the modules after it could not
 * even be loaded, and would say so with a stack. What it is needed for: file handles (open_by_handle_at), the dead
 * man's switch (timer_create with CLOCK_BOOTTIME), pidfd.
 */
import { platform } from 'node:os';

if (platform() !== 'linux') {
  process.stderr.write(
    `filerpair: the file server and its sentinel need Linux, and this is ${platform()}: they open files by kernel file ` +
      'handles and are guarded by kernel timers. Run them on Linux or in a container; clients and their proxy do not need it.\n',
  );
  process.exit(2);
}
