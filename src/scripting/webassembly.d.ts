/** The part of WebAssembly's JavaScript interface that is used here; its types are otherwise only in those of browsers. */
declare namespace WebAssembly {
  class Module {
    constructor(bytes: Uint8Array);
  }
  class Instance {
    constructor(module: Module, imports: Record<string, Record<string, ImportValue>>);
    readonly exports: unknown;
  }
  interface Memory {
    readonly buffer: ArrayBuffer;
  }
  // biome-ignore lint/suspicious/noExplicitAny: a function of any type may be imported
  type ImportValue = (...args: any[]) => unknown;
  class RuntimeError extends Error {}
}
