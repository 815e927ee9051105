/**
 * The list of the files that make up the append-only file, in the form of Redis 7: a folder with
 *
 *   appendonly.aof.manifest          this list
 *   appendonly.aof.4.base.rdb        the dataset at one moment, as a snapshot (or .base.aof: as commands)
 *   appendonly.aof.7.incr.aof        what has changed since, as commands; the last one is written to
 *
 * A line of it says `file <name> seq <number> type <b|h|i>`: base, history (superseded, to be deleted) or increment.
 * Every change of the set of files writes a complete new list that replaces the old one atomically, so a crash at any
 * moment leaves a list whose files exist.
 */

import { closeSync, fsyncSync, openSync, readFileSync, renameSync, statSync, writeSync } from 'node:fs';
import path from 'node:path';
import { fromByteString, quoteArgument, splitArguments, toByteString } from '../config/quoting.js';
import { makeFolder, syncFolder } from '../system/files.js';

const MANIFEST_SUFFIX = '.manifest';
const INCREMENT_SUFFIX = '.incr.aof';
/** Beginning of the names of files that are not complete. */
export const TEMPORARY_PREFIX = 'temp-';

/** The temporary name of the base that a rewrite writes. */
export function rewriteFileName(): string {
  return `temp-rewriteaof-bg-${process.pid}.aof`;
}

/** Longer lines are no lines of a manifest. */
const LINE_BYTES_MAX = 1024;
/** Each line has at least these many words: three pairs of a name and a value. */
const LINE_WORDS_MIN = 6;

export interface AofFile {
  /** Its name in the folder. */
  readonly name: string;
  /** Bases and increments are counted separately, from 1. */
  readonly sequence: number;
}

/** Where the files are: `appenddirname` as a path, and `appendfilename`. */
export interface AofPlace {
  readonly folder: string;
  readonly fileName: string;
}

/** What is wrong with a manifest, in one line. */
export class ManifestError extends Error {}

export class AofManifest {
  base: AofFile | null = null;
  /** Superseded files, the newest first. */
  history: AofFile[] = [];
  /** Oldest first. */
  increments: AofFile[] = [];
  /** The highest number that a file of each kind has had, so that no new file takes the name of an old one. */
  private baseSequence = 0;
  private incrementSequence = 0;

  get isEmpty(): boolean {
    return this.base === null && this.increments.length === 0;
  }

  /** The files with the data, in the order in which they are loaded. */
  get files(): AofFile[] {
    return this.base === null ? [...this.increments] : [this.base, ...this.increments];
  }

  /** Reads a manifest's text, whose characters are bytes. Throws a ManifestError. */
  static parse(text: string): AofManifest {
    const manifest = new AofManifest();
    if (text === '') throw new ManifestError('Found an empty AOF manifest');
    const lines = text.split('\n');
    // After the last line feed there is nothing, or a line that was not written completely.
    const rest = lines.pop();
    lines.forEach((line, index) => {
      try {
        if (!line.startsWith('#')) manifest.addLine(line);
      } catch (error) {
        if (!(error instanceof ManifestError)) throw error;
        throw new ManifestError(`line ${index + 1}: ${error.message}`);
      }
    });
    if (rest !== '')
      throw new ManifestError(`line ${lines.length + 1}: Invalid AOF manifest file format: it is cut`);
    return manifest;
  }

  private addLine(line: string): void {
    if (line.length > LINE_BYTES_MAX) throw new ManifestError('The AOF manifest file contains too long line');
    const words = splitArguments(line);
    if (words === null || words.length < LINE_WORDS_MIN || words.length % 2 !== 0) {
      throw new ManifestError('Invalid AOF manifest file format: not `file <name> seq <number> type <type>`');
    }
    let name = '';
    let sequence = 0;
    let type = '';
    // Other names may come with later versions.
    for (let at = 0; at < words.length; at += 2) {
      const value = words[at + 1];
      switch (words[at].toLowerCase()) {
        case 'file':
          name = fromByteString(value);
          break;
        case 'seq':
          sequence = /^\d+$/.test(value) ? Number(value) : 0;
          break;
        case 'type':
          type = value;
          break;
      }
    }
    if (name.includes('/') || name === '.' || name === '..') {
      throw new ManifestError(`File can't be a path, just a filename: ${quoteArgument(toByteString(name))}`);
    }
    if (name === '' || type === '' || sequence < 1 || !Number.isSafeInteger(sequence)) {
      throw new ManifestError('Invalid AOF manifest file format: no name, no type or no sequence number');
    }
    this.add({ name, sequence }, type);
  }

  private add(file: AofFile, type: string): void {
    switch (type) {
      case 'b':
        if (this.base !== null) throw new ManifestError('Found duplicate base file information');
        this.base = file;
        this.baseSequence = Math.max(this.baseSequence, file.sequence);
        break;
      case 'h':
        this.history.push(file);
        if (file.name.endsWith(INCREMENT_SUFFIX)) {
          this.incrementSequence = Math.max(this.incrementSequence, file.sequence);
        } else {
          this.baseSequence = Math.max(this.baseSequence, file.sequence);
        }
        break;
      case 'i':
        if (file.sequence <= (this.increments.at(-1)?.sequence ?? 0)) {
          throw new ManifestError(`Found a non-monotonic sequence number: ${file.sequence}`);
        }
        this.increments.push(file);
        this.incrementSequence = Math.max(this.incrementSequence, file.sequence);
        break;
      default:
        throw new ManifestError(`Unknown AOF file type: ${quoteArgument(type)}`);
    }
  }

  /** The text of the manifest; its characters are bytes. */
  format(): string {
    const line = ({ name, sequence }: AofFile, type: string): string => {
      const bytes = toByteString(name);
      const written = /^[!#-&(-[\]-~]+$/.test(bytes) ? bytes : quoteArgument(bytes);
      return `file ${written} seq ${sequence} type ${type}\n`;
    };
    return [
      ...(this.base === null ? [] : [line(this.base, 'b')]),
      ...this.history.map((file) => line(file, 'h')),
      ...this.increments.map((file) => line(file, 'i')),
    ].join('');
  }

  /** A copy to be changed: the change is written to the disk first, and the copy adopted afterwards. */
  copy(): AofManifest {
    const copy = new AofManifest();
    copy.base = this.base;
    copy.history = [...this.history];
    copy.increments = [...this.increments];
    copy.baseSequence = this.baseSequence;
    copy.incrementSequence = this.incrementSequence;
    return copy;
  }

  /** Puts a new base in the place of the old one, which becomes history. Returns it; its file is yet to be written. */
  addBase(fileName: string, isSnapshot: boolean): AofFile {
    if (this.base !== null) this.history.unshift(this.base);
    const sequence = ++this.baseSequence;
    this.base = { name: `${fileName}.${sequence}.base.${isSnapshot ? 'rdb' : 'aof'}`, sequence };
    return this.base;
  }

  /** Appends a new increment. Returns it; its file is yet to be made. */
  addIncrement(fileName: string): AofFile {
    const sequence = ++this.incrementSequence;
    const file = { name: `${fileName}.${sequence}${INCREMENT_SUFFIX}`, sequence };
    this.increments.push(file);
    return file;
  }

  /** Makes all increments history but the last `kept`: what they say is in a new base. */
  retireIncrements(kept: number): void {
    const retired = this.increments.splice(0, Math.max(0, this.increments.length - kept));
    this.history.unshift(...retired.reverse());
  }

  /** Takes a file of the time before manifests as the base. */
  adoptBase(name: string): void {
    this.base = { name, sequence: 1 };
    this.baseSequence = 1;
  }
}

/** Path of a file that a manifest names. */
export function aofPath(place: AofPlace, file: AofFile): string {
  return path.join(place.folder, file.name);
}

export function manifestPath(place: AofPlace): string {
  return path.join(place.folder, place.fileName + MANIFEST_SUFFIX);
}

/** Reads the manifest from the disk; null if there is none. Throws an Error with a one-line message. */
export function readManifest(place: AofPlace): AofManifest | null {
  const name = manifestPath(place);
  let text: string;
  try {
    text = readFileSync(name, 'latin1');
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException;
    if (code === 'ENOENT') return null;
    throw new ManifestError(`can't read the AOF manifest ${name}: ${message}`);
  }
  try {
    return AofManifest.parse(text);
  } catch (error) {
    if (!(error instanceof ManifestError)) throw error;
    throw new ManifestError(`the AOF manifest ${name} can't be used: ${error.message}`);
  }
}

/** Writes the manifest to the disk in the place of any other. Throws a system error, with the old one untouched. */
export function writeManifest(place: AofPlace, manifest: AofManifest): void {
  makeFolder(place.folder);
  const name = manifestPath(place);
  const temporaryName = path.join(place.folder, TEMPORARY_PREFIX + place.fileName + MANIFEST_SUFFIX);
  const bytes = Buffer.from(manifest.format(), 'latin1');
  const fd = openSync(temporaryName, 'w', 0o644);
  try {
    for (let at = 0; at < bytes.length; ) at += writeSync(fd, bytes, at, bytes.length - at);
    fsyncSync(fd);
  } finally {
    closeSync(fd);
  }
  renameSync(temporaryName, name);
  syncFolder(place.folder);
}

/** Length of a file, -1 if it does not exist. Throws a system error. */
export function fileLengthBytes(name: string): number {
  return statSync(name, { throwIfNoEntry: false })?.size ?? -1;
}

/**
 * Takes an append-only file of the time before Redis 7, one file in the folder of the snapshot, into the folder of
 * the manifest as its base. The manifest comes first: if a crash comes between, the next start finds the file where
 * it was and goes on. Returns the manifest to use.
 * @param oldName path of the old file's folder
 */
export function adoptOldFile(place: AofPlace, oldFolder: string, manifest: AofManifest): AofManifest {
  const adopted = manifest.copy();
  adopted.adoptBase(place.fileName);
  writeManifest(place, adopted);
  renameSync(path.join(oldFolder, place.fileName), path.join(place.folder, place.fileName));
  syncFolder(place.folder);
  syncFolder(oldFolder);
  return adopted;
}

/** Whether there is such an old file that the manifest does not have yet. */
export function hasOldFile(place: AofPlace, oldFolder: string, manifest: AofManifest): boolean {
  if (fileLengthBytes(path.join(oldFolder, place.fileName)) < 0) return false;
  if (manifest.isEmpty) return true;
  const { base, increments } = manifest;
  return (
    base?.name === place.fileName && increments.length === 0 && fileLengthBytes(aofPath(place, base)) < 0
  );
}
