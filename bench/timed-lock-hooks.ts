/** Has a server's threads load timed-lock.ts in place of src/memory/lock.ts: `node --import timed-lock-hooks.js`. */

import { register } from 'node:module';

type Resolve = (specifier: string, context: { parentURL?: string }) => Promise<{ url: string }>;

export async function resolve(specifier: string, context: { parentURL?: string }, next: Resolve) {
  const resolved = await next(specifier, context);
  const isTimer = context.parentURL?.endsWith('/bench/timed-lock.js') ?? false;
  if (isTimer || !resolved.url.endsWith('/src/memory/lock.js')) return resolved;
  return { ...resolved, url: new URL('./timed-lock.js', import.meta.url).href };
}

// The hooks run in a thread of their own, in which there is nothing to register.
if (!import.meta.url.endsWith('?hooks')) register(`${import.meta.url}?hooks`);
