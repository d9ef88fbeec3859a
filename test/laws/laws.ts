// The laws that a function of arrays obeys, whatever it is made of: one row of a table, with its derivatives and batches.
// Transforms are programs over graphs, so what they mean is checked in double precision, and the device is checked to compute
// the graphs they make.

import { describe, expect, test } from 'vitest'
import { grad, jvp, vjp, vmap } from '../../autodiff/index.ts'
import { jit, mul, sum, type Value } from '../../core/index.ts'
import { type Budget, expectClose } from '../support/close.ts'
import { type HostArray, inner, moved, stacked, toHost, toHosts, toTensors } from '../support/host.ts'
import { type Domain, floats, generator } from '../support/inputs.ts'
import { oracle } from '../support/oracle.ts'

export interface Row {
  readonly name: string
  readonly f: (...xs: Value[]) => Value
  readonly inputs: readonly Domain[]
  /** How far the device may be from the float64 reference. Integers and bools are always exact. */
  readonly budget: Budget
  /** The inputs in which the primitive is linear while the others are fixed. */
  readonly linearIn?: readonly number[]
  /** False where the derivative is not the limit of differences, by design. */
  readonly differentiable?: false
  /** False where reverse mode is refused. */
  readonly reversible?: false
}

const epsilon = 1e-5
const differences: Budget = { relative: 1e-6, absolute: 1e-6 }
const double: Budget = { relative: 1e-10, absolute: 1e-10 }

/** What a few roundings to f32 leave, of numbers as large as these. */
const single = ({ data }: HostArray): Budget => ({
  relative: 5e-6,
  absolute: 2e-6 * data.reduce((largest, x) => Math.max(largest, Math.abs(x)), 0),
})

type Hosts = readonly HostArray[]
type Values = readonly Value[]

/** Where the examples of a batch lie in each input, and in the result. */
interface Layout {
  readonly inAxes: readonly (number | null)[]
  readonly outAxes: number
}

/** The examples side by side; an input that they share is that of `shared`. */
const batchOf = (examples: readonly Hosts[], shared: Hosts, { inAxes }: Layout): HostArray[] =>
  shared.map((x, k) => {
    const axis = inAxes[k]!
    if (axis === null) return x
    return stacked(
      examples.map((example) => example[k]!),
      axis < 0 ? x.shape.length : axis,
    )
  })

/** A row with numbers, and what the laws ask of it. */
function caseOf(row: Row, seed: number) {
  const random = generator(seed)
  const draw = (): HostArray[] => row.inputs.map((domain) => domain.draw(random))
  const xs = draw()
  const vs = row.inputs.map((domain) => (domain.dtype === 'f32' ? floats(domain.shape) : domain).draw(random))
  const examples = [draw(), draw(), draw()]
  const y = oracle(row.f, xs)(...xs)
  const weights = floats(y.shape).draw(random)
  const wanted = xs.flatMap(({ dtype }, k) => (dtype === 'f32' ? [k] : []))
  const isSmooth = y.dtype === 'f32' && wanted.length > 0
  const isReversible = isSmooth && row.reversible !== false

  const f = (...xs: Values): Value => row.f(...xs)
  const gradient = (weights: Value, ...xs: Values): Values =>
    grad((...xs: Values) => sum(mul(f(...xs), weights)), { argnums: wanted })(...xs) as Values
  const tangent = (vs: Values, ...xs: Values): Value => jvp(f, xs, vs)[1]
  const second = (weights: Value, vs: Values, ...xs: Values): Values =>
    jvp((...xs: Values) => gradient(weights, ...xs), xs, vs)[1]

  /** Each input batched alone, and all together, in front and behind. */
  const layouts = [...xs.map((_, k) => [k]), xs.map((_, k) => k)].flatMap((batched) =>
    [0, -1].map((axis): Layout => {
      return { inAxes: xs.map((_, k) => (batched.includes(k) ? axis : null)), outAxes: axis }
    }),
  )

  /** All that the device is asked, as one program. */
  const layout: Layout = { inAxes: xs.map((_, k) => -(k % 2)), outAxes: -1 }
  const args: [Hosts, Hosts, HostArray, Hosts] = [xs, vs, weights, batchOf(examples, xs, layout)]
  const ask = (xs: Values, vs: Values, weights: Value, batch: Values) => ({
    value: f(...xs),
    batched: vmap(f, layout)(...batch),
    tangent: isSmooth ? tangent(vs, ...xs) : null,
    smooth: isReversible
      ? {
          cotangents: vjp(f, ...xs)[1](weights).filter((_, k) => wanted.includes(k)),
          second: second(weights, vs, ...xs),
          batchedGradient: vmap(gradient, { inAxes: [null, ...layout.inAxes] })(weights, ...batch),
        }
      : null,
  })
  const onDevice = (async () =>
    toHosts(jit(ask)(...(toTensors(args) as unknown as Parameters<typeof ask>))))()
  onDevice.catch(() => {}) // reported by the tests
  return {
    row,
    xs,
    vs,
    examples,
    weights,
    wanted,
    isSmooth,
    isReversible,
    f,
    gradient,
    tangent,
    second,
    layouts,
    ask,
    args,
    onDevice,
  }
}

const title = ({ name, inputs }: Row, k: number): string =>
  `row ${k}, ${name} of ${inputs.map(({ dtype, shape }) => `${dtype}[${shape}]`).join(' ')}`

/** Runs the laws on a row; `exact` when the same kernels run with and without `jit`. */
export const describeLaws = (row: Row, k: number, exact: boolean): void => {
  describe(title(row, k), () => laws(row, k, exact))
}

function laws(row: Row, k: number, exact: boolean): void {
  const it = caseOf(row, k)
  const { f, gradient, xs, vs, weights, wanted } = it
  const shift = (scale: number): HostArray[] =>
    xs.map((x, k) => (wanted.includes(k) ? moved(x, vs[k]!, scale) : x))
  /** The derivative of `g` at `xs` in the direction `vs`, by central differences. */
  const difference = (g: (xs: Hosts) => Hosts): HostArray[] => {
    const [ahead, behind] = [g(shift(epsilon)), g(shift(-epsilon))]
    return ahead.map((y, k) => {
      const gap = moved(y, behind[k]!, -1)
      return moved(gap, gap, 0.5 / epsilon - 1)
    })
  }
  const each = (actual: Hosts, expected: Hosts, budget: Budget): void => {
    for (const [k, y] of expected.entries()) expectClose(actual[k]!, y, budget, `result ${k}`)
  }
  const chosen = <T>(list: readonly T[]): T[] => wanted.map((k) => list[k]!)

  test('the device computes the meaning, alone and with its derivatives', async () => {
    const device = await it.onDevice
    const expected = oracle(it.ask, it.args)(...it.args)
    expectClose(device.value, expected.value, row.budget, 'value')
    expectClose(device.batched, expected.batched, row.budget, 'batched')
    if (it.isSmooth) expectClose(device.tangent!, expected.tangent!, single(expected.tangent!), 'tangent')
    for (const key of ['cotangents', 'second', 'batchedGradient'] as const)
      for (const [k, y] of [expected.smooth?.[key] ?? []].flat().entries())
        expectClose([device.smooth![key]].flat()[k]!, y, single(y), `${key} ${k}`)
  })

  test('jit = no jit', async () => {
    const [device, eager] = [await it.onDevice, await toHost(f(...toTensors(xs)))]
    expectClose(eager, device.value, exact ? {} : row.budget, 'without jit')
  })

  test('vmap = loop', () => {
    for (const layout of it.layouts) {
      const batch = batchOf(it.examples, xs, layout)
      const loop = it.examples.map((example) => {
        const inputs = xs.map((x, k) => (layout.inAxes[k] === null ? x : example[k]!))
        return oracle(f, inputs)(...inputs)
      })
      const expected = stacked(loop, layout.outAxes < 0 ? loop[0]!.shape.length : 0)
      expectClose(oracle(vmap(f, layout), batch)(...batch), expected, double, JSON.stringify(layout))
    }
  })

  test('vmap of vmap = loop of loops', () => {
    const [inside, around]: Layout[] = [
      { inAxes: xs.map(() => 0), outAxes: -1 },
      { inAxes: xs.map(() => -1), outAxes: 0 },
    ] as const
    const halves = [it.examples, it.examples.toReversed()]
    const batch = batchOf(
      halves.map((half) => batchOf(half, xs, inside!)),
      batchOf(halves[0]!, xs, inside!),
      around!,
    )
    const loop = halves.map((half) => {
      const ys = half.map((example) => oracle(f, example)(...example))
      return stacked(ys, ys[0]!.shape.length)
    })
    expectClose(oracle(vmap(vmap(f, inside), around), batch)(...batch), stacked(loop, 0), double)
  })

  if (!it.isSmooth) return

  if (row.differentiable !== false)
    test('jvp = central differences', () => {
      const value = oracle(f, xs)
      const tangent = oracle(it.tangent, [vs, ...xs])(vs, ...xs)
      each(
        [tangent],
        difference((xs) => [value(...xs)]),
        differences,
      )
    })

  if (!it.isReversible) return

  test('⟨Jv, u⟩ = ⟨v, Jᵀu⟩', () => {
    const { smooth, tangent } = oracle(it.ask, it.args)(...it.args)
    const forward = inner([tangent!], [weights])
    expect(inner(chosen(vs), smooth!.cotangents)).toBeCloseTo(forward, 9)
  })

  for (const k of row.linearIn ?? [])
    test(`linear in input ${k}, and transposed there`, () => {
      const value = oracle(f, xs)
      const at = (x: HostArray): HostArray => value(...xs.with(k, x))
      const direct = moved(at(vs[k]!), at(moved(vs[k]!, vs[k]!, -1)), -1)
      const { smooth } = oracle(it.ask, it.args)(...it.args)
      const transposed = smooth!.cotangents[wanted.indexOf(k)]!
      expect(inner([vs[k]!], [transposed])).toBeCloseTo(inner([direct], [weights]), 9)
    })

  if (row.differentiable !== false)
    test('jvp of grad = central differences of grad', () => {
      const slope = oracle(gradient, [weights, ...xs])
      const second = oracle(it.second, [weights, vs, ...xs])(weights, vs, ...xs)
      each(
        second,
        difference((xs) => slope(weights, ...xs)),
        differences,
      )
    })

  test('vmap of grad = loop of grad', () => {
    for (const layout of it.layouts.slice(-2)) {
      const batch = batchOf(it.examples, xs, layout)
      const loop = it.examples.map((example) => oracle(gradient, [weights, ...example])(weights, ...example))
      const batched = vmap(gradient, { inAxes: [null, ...layout.inAxes] })
      const expected = wanted.map((_, k) =>
        stacked(
          loop.map((slopes) => slopes[k]!),
          0,
        ),
      )
      each(oracle(batched, [weights, ...batch])(weights, ...batch), expected, double)
    }
  })
}
