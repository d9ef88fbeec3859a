// How often Dawn looks for news of the GPU. In Node it does so in every turn of the event loop while anything is awaited, by
// the global `setImmediate`: that keeps a core busy, with which a software adapter would compute. With such an adapter it looks
// in every turn for a moment only, and then about once a millisecond.

/** How long Dawn looks in every turn after something was asked for, in ms: a short program is not to wait for a timer. */
const eager = 0.5

let eagerUntil = 0

/** Hurries the look that waits for a timer, if one does. */
let hurry = (): void => {}

/** News may come soon. */
export function expectNews(): void {
  eagerUntil = performance.now() + eager
  hurry()
}

/** Whether a function is of native code as Dawn's are: without a name, and with a prototype, unlike those of promises. */
const isNative = (f: object & { readonly name?: string; readonly length?: number }): boolean =>
  f.name === '' &&
  f.length === 0 &&
  Object.hasOwn(f, 'prototype') &&
  Function.prototype.toString.call(f) === 'function () { [native code] }'

/** `setImmediate` as it is, but for native functions, which wait for a timer unless news may come soon. */
export function spreading(immediate: typeof setImmediate): typeof setImmediate {
  const spread = (f: (...args: unknown[]) => void, ...args: unknown[]): unknown => {
    if (!isNative(f) || performance.now() <= eagerUntil) return immediate(f, ...args)
    const now = (): void => {
      clearTimeout(timer)
      if (hurry === now) hurry = () => {}
      immediate(f, ...args)
    }
    const timer = setTimeout(() => {
      if (hurry === now) hurry = () => {}
      f(...args)
    }, 1)
    hurry = now
    return timer
  }
  return Object.defineProperties(
    spread,
    Object.getOwnPropertyDescriptors(immediate),
  ) as unknown as typeof setImmediate
}

let isSpread = false

/** Spreads Dawn's looks in this thread. */
export function spreadPolling(): void {
  if (isSpread) return
  isSpread = true
  globalThis.setImmediate = spreading(globalThis.setImmediate)
}
