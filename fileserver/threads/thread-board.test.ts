import { expect, it } from 'vitest';
import { ThreadBoard } from './thread-board.ts';

it('shows when every thread has started, to all who see the same memory', () => {
  const board = new ThreadBoard(ThreadBoard.allocate(3));
  const other = new ThreadBoard(board.buffer);
  for (const thread of [2, 0]) board.turn(thread);
  expect(other.allStarted).toBe(false);
  expect(other.silentMs(1)).toBe(0);
  board.turn(1);
  expect(other.allStarted).toBe(true);
});
