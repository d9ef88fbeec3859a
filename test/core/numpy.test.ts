// NumPy's functions against JAX: `test/golden/arrays.py` says what a row is. The rows of one operation are one program, which
// runs in double precision and on the device.

import { describe, expect, test } from 'vitest'
import { grad } from '../../autodiff/index.ts'
import * as core from '../../core/index.ts'
import { jit, tensor, Value, zeros } from '../../core/index.ts'
import { type Budget, expectClose } from '../support/close.ts'
import { type GoldenArray, golden, ofGolden } from '../support/golden.ts'
import { type HostArray, toHosts, toTensors } from '../support/host.ts'
import { oracle } from '../support/oracle.ts'

interface Row {
  readonly name: string
  readonly op: string
  readonly in: readonly GoldenArray[]
  readonly args: readonly unknown[]
  readonly out: readonly GoldenArray[]
  readonly weights?: readonly (GoldenArray | null)[]
  readonly grads?: readonly GoldenArray[]
}

const { rows } = golden<{ rows: readonly Row[] }>('numpy.json')

/** An argument with the arrays in their places. */
function filled(arg: unknown, xs: readonly Value[]): unknown {
  if (Array.isArray(arg)) return arg.map((part) => filled(part, xs))
  if (typeof arg === 'object' && arg !== null) {
    if ('in' in arg) return xs[arg.in as number]
    return Object.fromEntries(Object.entries(arg).map(([key, value]) => [key, filled(value, xs)]))
  }
  return typeof arg === 'string' && arg.endsWith('Infinity') ? Number(arg) : arg
}

type Call = (...args: readonly unknown[]) => Value | readonly Value[]
const calls = new Map(Object.entries(core)) as ReadonlyMap<string, unknown>

/** The call that a row is, as a function of its arrays. */
const callOf =
  ({ op, args }: Row) =>
  (...xs: readonly Value[]): readonly Value[] => {
    const found = (calls.get(op) as Call)(...args.map((arg) => filled(arg, xs)))
    return found instanceof Value ? [found] : found
  }

/** All that is asked of a row: the results, and the gradients of their weighted sum. */
function ask(row: Row, xs: readonly Value[], weights: readonly Value[]): readonly Value[] {
  const f = callOf(row)
  const results = f(...xs)
  if (!row.weights) return results
  const wanted = row.in.flatMap(({ dtype }, k) => (dtype === 'float32' ? [k] : []))
  const loss = (...xs: Value[]): Value =>
    f(...xs)
      .filter(({ dtype }) => dtype === 'f32')
      .map((out, k) => core.sum(core.mul(out, weights[k]!)))
      .reduce((a, b) => core.add(a, b))
  return [...results, ...(grad(loss, { argnums: wanted })(...xs) as readonly Value[])]
}

/** A few roundings, of numbers as large as these. */
const roundings = ({ data }: HostArray): Budget => {
  const finite = [...data].filter(Number.isFinite).map(Math.abs)
  return { relative: 2e-6, absolute: 1e-6 * Math.max(1, ...finite) }
}

describe('JAX', () => {
  test('has rows', () => expect(rows.length).toBeGreaterThan(400))

  for (const op of new Set(rows.map(({ op }) => op)))
    describe(op, () => {
      const group = rows.filter((row) => row.op === op)
      const arrays = group.map((row) => row.in.map(ofGolden))
      const weights = group.map(({ weights = [] }) => weights.flatMap((w) => (w ? [ofGolden(w)] : [])))
      const all = (xs: readonly (readonly Value[])[], weights: readonly (readonly Value[])[]) =>
        group.map((row, k) => ask(row, xs[k]!, weights[k]!))
      const args: [HostArray[][], HostArray[][]] = [arrays, weights]
      const device = (async () =>
        toHosts(jit(all)(...(toTensors(args) as unknown as Parameters<typeof all>))))()
      device.catch(() => {}) // reported by the tests

      test.each(group.map((row, k) => [row.name, row, k] as const))('%s', async (_, row, k) => {
        const mine = [arrays[k]!, weights[k]!] as [HostArray[], HostArray[]]
        const meaning = oracle((xs: readonly Value[], weights: readonly Value[]) => ask(row, xs, weights), mine)(
          ...mine,
        )
        const expected = [...row.out, ...(row.grads ?? [])].map(ofGolden)
        const check = (actual: readonly HostArray[], where: string): void => {
          expect(actual.length).toBe(expected.length)
          for (const [n, y] of expected.entries()) {
            const what = n < row.out.length ? `result ${n}` : `gradient ${n - row.out.length}`
            expectClose(actual[n]!, y, roundings(y), `${what} ${where}`)
          }
        }
        check(meaning, 'in double precision')
        check((await device)[k]!, 'on the device')
      })
    })
})
