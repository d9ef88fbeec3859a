// Functions that several programs are about, and what is common to their files.

import {
  full,
  matmul,
  mean,
  mul,
  sin,
  square,
  stack,
  sub,
  sum,
  tanh,
  tree,
  unstack,
  type Value,
} from '../../index.ts'

/** Programs by the names that `programs.json` gives them; arrays in, a tree of arrays out. */
export type Programs = Readonly<Record<string, (...inputs: Value[]) => unknown>>

/** A whole number as an i32 array of rank 0. */
export const i32 = (n: number): Value => full([], n, 'i32')
export const f32 = (x: number): Value => full([], x)

export const wave = (x: Value): Value => mul(sin(x), tanh(x))
export const bowl = (x: Value): Value => sum(mul(sin(x), square(x)))
export const cube = (x: Value): Value => x.integerPow(3)

/** Three numbers to four. */
export function twist(x: Value): Value {
  const [a, b, c] = unstack(x)
  return stack([mul(a!, b!), sin(c!), cube(b!), mul(a!.div(4).exp(), c!)])
}

/** The elements backwards along the first axis. */
export const backwards = (x: Value): Value => x.flip({ axis: 0 })

export interface Mlp {
  readonly w1: Value
  readonly b1: Value
  readonly w2: Value
}

export function mlpLoss({ w1, b1, w2 }: Mlp, x: Value, y: Value): Value {
  const hidden = tanh(matmul(x, w1).add(b1))
  return mean(square(sub(matmul(hidden, w2), y)))
}

/** `p - rate · g` for every leaf. */
export const stepped = <T>(p: T, g: T, rate: number | Value): T =>
  tree.map((v: Value, slope: Value) => v.sub(slope.mul(rate)), p, g) as T
