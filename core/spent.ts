// What the first calls of programs have cost so far, for the bench.

/** Milliseconds of tracing and of compiling. */
export const spent = { trace: 0, compile: 0 }

/** `f()`, with its time counted. */
export function timed<T>(what: 'trace' | 'compile', f: () => T): T {
  const start = performance.now()
  try {
    return f()
  } finally {
    spent[what] += performance.now() - start
  }
}
