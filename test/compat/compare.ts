/** The generated compatibility test as a function: many scripts, a report of what differs. */

import type { RawClientAddress } from '../tools/raw-client.js';
import { families as allFamilies } from './families/all.js';
import type { Family } from './family.js';
import { COMMANDS_PER_SCRIPT, formatScript, makeScript } from './script.js';
import { minimise, runScript, signatureOf } from './session.js';

export interface CompareOptions {
  /** redis-server, which is right by definition. */
  reference: RawClientAddress;
  subject: RawClientAddress;
  /** How many commands to send, rounded up to whole scripts. */
  commands: number;
  /** Seed of the first script; the following count up. */
  seed: number;
  families: readonly Family[];
  /** Stop after so many different failures. */
  failuresMax: number;
  onProgress?(commandsDone: number, failures: number): void;
  onFailure?(report: string): void;
}

export interface CompareResult {
  commands: number;
  /** A report for each kind of difference: seed, smallest script, both replies. */
  failures: string[];
}

export function familiesByName(names: string): Family[] {
  return names.split(',').map((name) => {
    const family = allFamilies.find((candidate) => candidate.name === name);
    if (!family) throw new Error(`no family ${name}; there are ${allFamilies.map((f) => f.name).join(', ')}`);
    return family;
  });
}

function shown(reply: Buffer): string {
  const text = JSON.stringify(reply.toString('latin1'));
  return text.length > 600 ? `${text.slice(0, 600)}… (${reply.length} bytes)` : text;
}

export async function compareServers(options: CompareOptions): Promise<CompareResult> {
  const { reference, subject } = options;
  const failures: string[] = [];
  const known = new Set<string>();
  let commands = 0;
  for (
    let seed = options.seed;
    commands < options.commands && failures.length < options.failuresMax;
    seed++
  ) {
    const script = makeScript(seed, options.families);
    const mismatch = await runScript(script, reference, subject);
    commands += COMMANDS_PER_SCRIPT;
    if (mismatch && !known.has(signatureOf(mismatch))) {
      known.add(signatureOf(mismatch));
      const small = await minimise(script, mismatch, reference, subject);
      known.add(signatureOf(small.mismatch));
      failures.push(
        [
          `seed ${seed}: replies to ${small.mismatch.command} differ`,
          `  redis:     ${shown(small.mismatch.expected)}`,
          `  damselfly: ${shown(small.mismatch.actual)}`,
          formatScript(small.script),
        ].join('\n'),
      );
      options.onFailure?.(failures.at(-1)!);
    }
    options.onProgress?.(commands, failures.length);
  }
  return { commands, failures };
}
