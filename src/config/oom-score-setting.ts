/** `oom-score-adj`, `oom-score-adj-values`: the server's score, which depends on its role. */

import type { Log } from '../system/log.js';
import type { OomScore } from '../system/oom-score.js';
import type { Config } from './config.js';

/** Whether a change of the configuration may change the score; the role is part of the configuration. */
export const OOM_SCORE_DIRECTIVES: ReadonlySet<string> = new Set([
  'oom-score-adj',
  'oom-score-adj-values',
  'replicaof',
]);

/** Sets the score as it is configured for the server's role; false if that fails, which is logged. */
export function followOomScore(config: Config, score: OomScore, log: Log): boolean {
  const { oomScoreAdj, oomScoreAdjValues, replicaOf } = config;
  const failure =
    oomScoreAdj === 'no'
      ? score.restore()
      : score.set(oomScoreAdjValues[replicaOf === null ? 0 : 1], oomScoreAdj === 'yes');
  if (failure !== '') log(failure, 'warning');
  return failure === '';
}

/** Logs if the values decrease: later ones may then be refused, since only a privileged process may lower its score. */
export function warnOfOomScores({ oomScoreAdjValues: [primary, replica, child] }: Config, log: Log): void {
  if (primary <= replica && replica <= child) return;
  log(
    'The oom-score-adj-values configuration may not work for non-privileged processes! Please consult the documentation.',
    'warning',
  );
}
