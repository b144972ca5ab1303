/** The operator's log: one JSON object a line, for the cluster's collector. */

import { createLogger, format, type Logger, transports } from 'winston';

export const createLog = (level: string): Logger =>
  createLogger({
    level,
    format: format.combine(format.timestamp(), format.json()),
    defaultMeta: { component: 'operator' },
    transports: [new transports.Console({ stderrLevels: [] })],
  });
