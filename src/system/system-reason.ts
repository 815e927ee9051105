import { getSystemErrorMap } from 'node:util';

/** The system's text for an error of Node.js, such as "address already in use"; its message if it has none. */
export function systemReason(error: unknown): string {
  const { errno, message } = error as NodeJS.ErrnoException;
  return (errno === undefined ? undefined : getSystemErrorMap().get(errno)?.[1]) ?? message;
}
