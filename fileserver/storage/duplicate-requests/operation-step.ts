/** A point inside a journalled operation at which a test can have the process killed. */
export const OperationStep = {
  beforeIntent: 'beforeIntent',
  afterIntent: 'afterIntent',
  /** Between two system calls of one operation: CREATE has opened the file, its attributes are not set yet. */
  duringExecution: 'duringExecution',
  afterExecution: 'afterExecution',
  afterFlush: 'afterFlush',
  afterReplyRecord: 'afterReplyRecord',
  /** The reply has not been handed to the socket. */
  beforeAnswer: 'beforeAnswer',
} as const;
export type OperationStep = (typeof OperationStep)[keyof typeof OperationStep];
