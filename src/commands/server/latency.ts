/** LATENCY: the spikes that the latency monitor keeps, and the histograms of the commands' durations. */

import type { CommandContext } from '../../execution/context.js';
import type { Command, Handler } from '../../execution/table/command-table.js';
import { type LatencyEvent, latencyFigures } from '../../state/latency-monitor.js';
import { helpHandler } from '../connection/help.js';

const GRAPH_COLUMNS = 80;
const GRAPH_ROWS = 4;
/** The top of a column, three heights a row; below it bars. */
const GRAPH_TOPS = '_o#';

const help = helpHandler('LATENCY', [
  'DOCTOR',
  '    Return a human readable latency analysis report.',
  'GRAPH <event>',
  '    Return an ASCII latency graph for the <event> class.',
  'HISTORY <event>',
  '    Return time-latency samples for the <event> class.',
  'LATEST',
  '    Return the latest latency samples for all events.',
  'RESET [<event> ...]',
  '    Reset latency data of one or more <event> classes.',
  '    (default: reset all data for all event classes)',
  'HISTOGRAM [COMMAND ...]',
  '    Return a cumulative distribution of latencies in the format of a histogram for the specified command names.',
  '    If no commands are specified then all histograms are replied.',
]);

function latest(context: CommandContext): void {
  const { reply } = context;
  const events = context.services.state.latency.events();
  reply.array(events.length);
  for (const { name, samples, highestMs } of events) {
    const { timeSeconds, latencyMs } = samples[samples.length - 1];
    reply.array(4);
    reply.bulkString(name);
    reply.integer(timeSeconds);
    reply.integer(latencyMs);
    reply.integer(highestMs);
  }
}

function history(context: CommandContext): void {
  const { reply } = context;
  const samples = context.services.state.latency.event(context.argText(2))?.samples ?? [];
  reply.array(samples.length);
  for (const { timeSeconds, latencyMs } of samples) {
    reply.array(2);
    reply.integer(timeSeconds);
    reply.integer(latencyMs);
  }
}

function reset(context: CommandContext): void {
  const names: string[] = [];
  for (let index = 2; index < context.argCount; index++) names.push(context.argText(index));
  context.reply.integer(context.services.state.latency.reset(names));
}

function graph(context: CommandContext): void {
  const event = context.services.state.latency.event(context.argText(2));
  if (event === null) {
    context.reply.error(`ERR No samples available for event '${context.argLatin1(2)}'`);
    return;
  }
  context.reply.verbatim(drawGraph(event, context.nowMs), 'txt');
}

/** How long ago, in the largest unit that fits. */
function agoLabel(seconds: number): string {
  if (seconds < 60) return `${seconds}s`;
  if (seconds < 3600) return `${Math.floor(seconds / 60)}m`;
  if (seconds < 86_400) return `${Math.floor(seconds / 3600)}h`;
  return `${Math.floor(seconds / 86_400)}d`;
}

/** A column for each sample, its height between the lowest and the highest of all, its age written below. */
function drawGraph({ name, samples, highestMs }: LatencyEvent, nowMs: number): string {
  const latencies = samples.map((sample) => sample.latencyMs);
  const high = Math.max(...latencies);
  const low = Math.min(...latencies);
  const steps = GRAPH_ROWS * GRAPH_TOPS.length;
  let text = `${name} - high ${high} ms, low ${low} ms (all time high ${highestMs} ms)\n`;
  text += `${'-'.repeat(GRAPH_COLUMNS)}\n`;
  for (let start = 0; start < samples.length; start += GRAPH_COLUMNS) {
    const columns = samples.slice(start, start + GRAPH_COLUMNS).map(({ timeSeconds, latencyMs }) => ({
      step: Math.min(steps - 1, Math.floor(((latencyMs - low) * steps) / Math.max(1, high - low))),
      label: agoLabel(Math.max(0, Math.floor(nowMs / 1000) - timeSeconds)),
    }));
    for (let row = GRAPH_ROWS - 1; row >= 0; row--) {
      for (const { step } of columns) {
        const height = step - row * GRAPH_TOPS.length;
        text += height < 0 ? ' ' : height < GRAPH_TOPS.length ? GRAPH_TOPS[height] : '|';
      }
      text += '\n';
    }
    text += `${' '.repeat(columns.length)}\n`;
    const labelLength = Math.max(...columns.map((column) => column.label.length));
    for (let at = 0; at < labelLength; at++) {
      text += `${columns.map((column) => column.label[at] ?? ' ').join('')}\n`;
    }
  }
  return text;
}

function doctor(context: CommandContext): void {
  const { services, nowMs } = context;
  const threshold = services.config.latencyMonitorThresholdMs;
  const events = services.state.latency.events();
  const lines: string[] = [];
  if (threshold === 0) {
    lines.push('Latency monitoring is disabled.');
    lines.push('CONFIG SET latency-monitor-threshold <milliseconds> enables it.');
  } else if (events.length === 0) {
    lines.push(`No latency spike of ${threshold} ms or more has been observed.`);
  } else {
    lines.push('Latency spikes have been observed:', '');
    events.forEach((event, index) => {
      const { averageMs, meanDeviationMs, periodSeconds } = latencyFigures(event, nowMs);
      lines.push(
        `${index + 1}. ${event.name}: ${event.samples.length} latency spikes (average ${averageMs}ms, mean deviation ${meanDeviationMs}ms, period ${periodSeconds.toFixed(2)} sec). Worst all time event ${event.highestMs}ms.`,
      );
    });
    if (events.some((event) => event.name.endsWith('command'))) {
      lines.push('', 'Slow commands hold up the other connections of their worker: see SLOWLOG GET.');
      const slowerThan = services.config.slowLogSlowerThanMicroseconds;
      if (slowerThan < 0 || slowerThan > threshold * 1000) {
        lines.push(
          `The slow log does not note all of them: CONFIG SET slowlog-log-slower-than ${threshold * 1000}.`,
        );
      }
    }
  }
  context.reply.verbatim(`${lines.join('\n')}\n`, 'txt');
}

/** The commands that HISTOGRAM is asked for: all, or those named, a container standing for its subcommands. */
function askedCommands(context: CommandContext): Command[] {
  const { table, argCount } = context;
  const asked: Command[] = [];
  const add = (command: Command): void => {
    if (command.subcommands === null) asked.push(command);
    else asked.push(...command.subcommands.values());
  };
  if (argCount === 2) {
    for (const command of table.all()) add(command);
    return asked;
  }
  for (let index = 2; index < argCount; index++) {
    const command = table.byFullName(context.argText(index));
    if (command !== null) add(command);
  }
  return asked;
}

function histogram(context: CommandContext): void {
  const { reply } = context;
  const { statistics } = context.services.state;
  const asked = askedCommands(context).filter((command) => statistics.command(command.id).calls > 0);
  reply.map(asked.length);
  for (const { id, fullName } of asked) {
    const borders = statistics.cumulativeHistogram(id);
    reply.bulkString(fullName);
    reply.map(2);
    reply.bulkString('calls');
    reply.integer(borders.length === 0 ? 0 : borders[borders.length - 1][1]);
    reply.bulkString('histogram_usec');
    reply.map(borders.length);
    for (const [microseconds, calls] of borders) {
      reply.integer(microseconds);
      reply.integer(calls);
    }
  }
}

export const latencyHandlers: Readonly<Record<string, Handler>> = {
  'LATENCY DOCTOR': doctor,
  'LATENCY GRAPH': graph,
  'LATENCY HELP': help,
  'LATENCY HISTOGRAM': histogram,
  'LATENCY HISTORY': history,
  'LATENCY LATEST': latest,
  'LATENCY RESET': reset,
};
