/**
 * Has a server's threads load timed-lock.ts in place of src/memory/lock.ts, and timed-lock-order.ts in place of
 * lock-order.ts: `node --import timed-lock-hooks.js`.
 */

import { register } from 'node:module';

type Resolve = (specifier: string, context: { parentURL?: string }) => Promise<{ url: string }>;

export async function resolve(specifier: string, context: { parentURL?: string }, next: Resolve) {
  const resolved = await next(specifier, context);
  const isTimer = /\/bench\/timed-lock(-order)?\.js$/.test(context.parentURL ?? '');
  const replaced = /\/src\/memory\/(lock|lock-order)\.js$/.exec(resolved.url);
  if (isTimer || replaced === null) return resolved;
  return { ...resolved, url: new URL(`./timed-${replaced[1]}.js`, import.meta.url).href };
}

// The hooks run in a thread of their own, in which there is nothing to register.
if (!import.meta.url.endsWith('?hooks')) register(`${import.meta.url}?hooks`);
