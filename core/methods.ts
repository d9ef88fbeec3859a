// Methods: every operation whose first argument is an array is a method of values, `x.add(y)` for `add(x, y)`.

import * as ops from './ops/index.ts'
import { type ArrayLike, Value } from './value.ts'

type Operations = typeof ops

type MethodNames = {
  [K in keyof Operations]: ArrayLike extends Parameters<Operations[K]>[0] ? K : never
}[keyof Operations]

type Methods = {
  [K in MethodNames]: Operations[K] extends (x: never, ...rest: infer Rest) => infer Result
    ? (...rest: Rest) => Result
    : never
}

declare module './value.ts' {
  interface Value extends Methods {}
}

for (const [name, operation] of Object.entries(ops)) {
  const apply = operation as (...args: unknown[]) => unknown
  Object.defineProperty(Value.prototype, name, {
    value(this: Value, ...rest: unknown[]) {
      return apply(this, ...rest)
    },
    writable: true,
    configurable: true,
  })
}
