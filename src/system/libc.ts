/**
 * The system calls that Node.js does not offer, through koffi. Pointers are passed as plain numbers (the
 * address of a buffer, taken once), which makes a call cost some 150 ns besides the call itself.
 *
 * `loadLibc` returns null where koffi or the calls are missing; then the portable transport is used.
 */

import { createRequire } from 'node:module';
import { getPriority } from 'node:os';

export const enum Epoll {
  IN = 1,
  OUT = 4,
  ERR = 8,
  HUP = 16,
  RDHUP = 0x2000,
  /** Wakes one of the threads that wait for the same descriptor. */
  EXCLUSIVE = 1 << 28,
  CTL_ADD = 1,
  CTL_DEL = 2,
  CTL_MOD = 3,
}

export const enum Errno {
  EINTR = 4,
  EAGAIN = 11,
  EINVAL = 22,
  EMFILE = 24,
  ENFILE = 23,
  ENOPROTOOPT = 92,
  EPROTONOSUPPORT = 93,
  ESOCKTNOSUPPORT = 94,
  EPFNOSUPPORT = 96,
  EAFNOSUPPORT = 97,
  EADDRINUSE = 98,
  EADDRNOTAVAIL = 99,
  ECONNABORTED = 103,
  ENOBUFS = 105,
  ECANCELED = 125,
}

export const enum Socket {
  AF_UNIX = 1,
  AF_INET = 2,
  AF_INET6 = 10,
  SOCK_STREAM = 1,
  SOCK_DGRAM = 2,
  SOCK_NONBLOCK = 0x800,
  SOCK_CLOEXEC = 0x80000,
  SOL_SOCKET = 1,
  SO_REUSEADDR = 2,
  SO_KEEPALIVE = 9,
  IPPROTO_TCP = 6,
  TCP_NODELAY = 1,
  TCP_KEEPIDLE = 4,
  TCP_KEEPINTVL = 5,
  TCP_KEEPCNT = 6,
  IPPROTO_IPV6 = 41,
  IPV6_V6ONLY = 26,
  MSG_PEEK = 2,
}

/** Numbers of calls that the C library has no functions for; the same on all architectures. */
const enum SystemCall {
  IoUringSetup = 425,
  IoUringEnter = 426,
  IoUringRegister = 427,
}

const SCHED_SETATTR = process.arch === 'x64' ? 314 : 274;
/** Bytes of the first version of a struct sched_attr, and where two of its fields are. */
const SCHED_ATTR_BYTES = 48;
const SCHED_ATTR_NICE = 16;
const SCHED_ATTR_RUNTIME = 24;

/** Bytes of a struct epoll_event: packed on x64, padded elsewhere. */
export const EPOLL_EVENT_BYTES = process.arch === 'x64' ? 12 : 16;
/** Where the 64 bits of user data are in it. */
export const EPOLL_DATA_OFFSET = process.arch === 'x64' ? 4 : 8;

const CLOCK_THREAD_CPUTIME_ID = 3;
const F_DUPFD_CLOEXEC = 1030;

type Address = number;

export interface Libc {
  read(fd: number, buffer: Address, lengthBytes: number): number;
  write(fd: number, buffer: Address, lengthBytes: number): number;
  receive(fd: number, buffer: Address, lengthBytes: number, flags: number): number;
  close(fd: number): number;
  /** Another descriptor of the same file or socket, which programs that are started do not get; negative on failure. */
  duplicate(fd: number): number;
  epollCreate(flags: number): number;
  epollControl(epoll: number, operation: number, fd: number, event: Address): number;
  epollWait(epoll: number, events: Address, eventsMax: number, timeoutMs: number): number;
  yieldProcessor(): number;
  eventfd(initial: number, flags: number): number;
  /** A file in memory that has no name. */
  memfdCreate(name: Address, flags: number): number;
  socket(family: number, type: number, protocol: number): number;
  /** `numbers`: room for the two descriptors. */
  socketPair(family: number, type: number, protocol: number, numbers: Address): number;
  bind(fd: number, address: Address, lengthBytes: number): number;
  connect(fd: number, address: Address, lengthBytes: number): number;
  listen(fd: number, backlog: number): number;
  accept(fd: number, address: Address, lengthBytes: Address, flags: number): number;
  poll(fds: Address, count: number, timeoutMs: number): number;
  setOption(fd: number, level: number, option: number, value: Address, lengthBytes: number): number;
  peerName(fd: number, address: Address, lengthBytes: Address): number;
  socketName(fd: number, address: Address, lengthBytes: Address): number;
  /** `limits`: room for two 64-bit numbers, the soft and the hard limit. */
  getResourceLimit(resource: number, limits: Address): number;
  setResourceLimit(resource: number, limits: Address): number;
  madvise(address: Address, lengthBytes: number, advice: number): number;
  /** Returns freed memory that the C library holds to the system, except for `keptBytes`. */
  mallocTrim(keptBytes: number): void;
  /** Sets an option of the C library's allocator (`mallopt`). */
  setMallocOption(option: number, value: number): void;
  /** Moves bytes; the ranges may overlap. */
  memmove(target: Address, source: Address, lengthBytes: number): void;
  ioUringSetup(entries: number, parameters: Address): number;
  ioUringEnter(
    fd: number,
    submitted: number,
    completedMin: number,
    flags: number,
    argument: Address,
    argumentBytes: number,
  ): number;
  ioUringRegister(fd: number, operation: number, argument: Address, count: number): number;
  mmap(
    address: Address,
    lengthBytes: number,
    protection: number,
    flags: number,
    fd: number,
    offset: number,
  ): Address;
  /** The memory at an address, which must stay mapped as long as the buffer is used. */
  memoryAt(address: Address, lengthBytes: number): ArrayBuffer;
  /**
   * Has the scheduler give this thread slices so short (0.1 to 100 ms; Linux 6.12, others take no notice), so that who wakes up
   * waits less for it. It gets no less time in all.
   */
  setTimeSlice(milliseconds: number): void;
  /** Processor time that this thread has used, in ms. */
  threadCpuMs(): number;
  /** errno of the last call of this thread. */
  errno(): number;
  /** The address of a buffer's first byte; it does not change as long as the buffer lives. */
  addressOf(buffer: Uint8Array): Address;
  /** The text for an errno. */
  errorText(errno: number): string;
}

let loaded: Libc | null | undefined;

/** This thread's bindings of the calls, or null where they are not available. */
export function loadLibc(): Libc | null {
  if (loaded === undefined) loaded = process.platform === 'linux' ? bindCalls() : null;
  return loaded;
}

function bindCalls(): Libc | null {
  try {
    const koffi = createRequire(import.meta.url)('koffi');
    const library = koffi.load(null);
    const bind = (name: string, result: string, parameters: string[]) =>
      library.func(name, result, parameters);
    const bindIfThere = (name: string, result: string, parameters: string[]) => {
      try {
        return bind(name, result, parameters);
      } catch {
        // Not all C libraries have it.
        return null;
      }
    };
    const systemCall4 = bind('syscall', 'int', ['int', 'int', 'intptr_t', 'intptr_t', 'int']);
    const systemCall6 = bind('syscall', 'int', ['int', 'int', 'int', 'int', 'int', 'intptr_t', 'long']);
    const control = bind('fcntl', 'int', ['int', 'int', 'int']);
    const clockTime = bind('clock_gettime', 'int', ['int', 'intptr_t']);
    const time = new BigInt64Array(2);
    const timeAddress = Number(koffi.address(time));
    // No read or write moves more than 2^31 - 4096 bytes, so their results are ints, which are quicker to hand over.
    return {
      read: bind('read', 'int', ['int', 'intptr_t', 'size_t']),
      write: bind('write', 'int', ['int', 'intptr_t', 'size_t']),
      receive: bind('recv', 'int', ['int', 'intptr_t', 'size_t', 'int']),
      close: bind('close', 'int', ['int']),
      duplicate: (fd) => control(fd, F_DUPFD_CLOEXEC, 0),
      epollCreate: bind('epoll_create1', 'int', ['int']),
      epollControl: bind('epoll_ctl', 'int', ['int', 'int', 'int', 'intptr_t']),
      epollWait: bind('epoll_wait', 'int', ['int', 'intptr_t', 'int', 'int']),
      yieldProcessor: bind('sched_yield', 'int', []),
      eventfd: bind('eventfd', 'int', ['uint', 'int']),
      memfdCreate: bind('memfd_create', 'int', ['intptr_t', 'uint']),
      socket: bind('socket', 'int', ['int', 'int', 'int']),
      socketPair: bind('socketpair', 'int', ['int', 'int', 'int', 'intptr_t']),
      bind: bind('bind', 'int', ['int', 'intptr_t', 'uint']),
      connect: bind('connect', 'int', ['int', 'intptr_t', 'uint']),
      listen: bind('listen', 'int', ['int', 'int']),
      accept: bind('accept4', 'int', ['int', 'intptr_t', 'intptr_t', 'int']),
      poll: bind('poll', 'int', ['intptr_t', 'ulong', 'int']),
      setOption: bind('setsockopt', 'int', ['int', 'int', 'int', 'intptr_t', 'uint']),
      peerName: bind('getpeername', 'int', ['int', 'intptr_t', 'intptr_t']),
      socketName: bind('getsockname', 'int', ['int', 'intptr_t', 'intptr_t']),
      getResourceLimit: bind('getrlimit', 'int', ['int', 'intptr_t']),
      setResourceLimit: bind('setrlimit', 'int', ['int', 'intptr_t']),
      madvise: bind('madvise', 'int', ['intptr_t', 'size_t', 'int']),
      mallocTrim: bindIfThere('malloc_trim', 'void', ['size_t']) ?? (() => {}),
      setMallocOption: bindIfThere('mallopt', 'int', ['int', 'int']) ?? (() => {}),
      memmove: bind('memmove', 'void', ['intptr_t', 'intptr_t', 'size_t']),
      ioUringSetup: (entries, parameters) => systemCall4(SystemCall.IoUringSetup, entries, parameters, 0, 0),
      ioUringEnter: (fd, submitted, completedMin, flags, argument, argumentBytes) =>
        systemCall6(SystemCall.IoUringEnter, fd, submitted, completedMin, flags, argument, argumentBytes),
      ioUringRegister: (fd, operation, argument, count) =>
        systemCall4(SystemCall.IoUringRegister, fd, operation, argument, count),
      mmap: bind('mmap', 'intptr_t', ['intptr_t', 'size_t', 'int', 'int', 'int', 'long']),
      memoryAt: (address, lengthBytes) => koffi.view(address, lengthBytes),
      setTimeSlice: (milliseconds) => {
        const attributes = new Uint8Array(SCHED_ATTR_BYTES);
        const view = new DataView(attributes.buffer);
        view.setUint32(0, SCHED_ATTR_BYTES, true);
        view.setInt32(SCHED_ATTR_NICE, getPriority(), true);
        view.setBigUint64(SCHED_ATTR_RUNTIME, BigInt(Math.round(milliseconds * 1e6)), true);
        systemCall4(SCHED_SETATTR, 0, Number(koffi.address(attributes)), 0, 0);
      },
      threadCpuMs: () => {
        clockTime(CLOCK_THREAD_CPUTIME_ID, timeAddress);
        return Number(time[0]) * 1e3 + Number(time[1]) / 1e6;
      },
      errno: () => koffi.errno(),
      addressOf: (buffer) => Number(koffi.address(buffer)),
      errorText: bind('strerror', 'const char *', ['int']),
    };
  } catch {
    return null;
  }
}
