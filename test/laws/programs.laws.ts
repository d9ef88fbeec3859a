// The laws that random programs obey. What they mean and what transforms make of them is checked on the host in double
// precision; that the device computes it, within what roundings do to the program, on as many as there is time for.

import { build } from '../../core/build.ts'
import { fuse, type Group, runsAlone } from '../../core/compile/fuse.ts'
import { compile } from '../../core/compile/index.ts'
import { inline } from '../../core/compile/inline.ts'
import { arrange } from '../../core/compile/packs.ts'
import { simplify } from '../../core/compile/simplify.ts'
import { mergeSingles } from '../../core/compile/singles.ts'
import { Device, GpuProgram, launch, Program as Plan } from '../../core/device/index.ts'
import { Var } from '../../core/graph.ts'
import { type Graph, type NdArray, reference } from '../../core/index.ts'
import * as cotangent from '../../index.ts'
import {
  grad,
  jit,
  jvp,
  mul,
  sum,
  Tensor,
  trace,
  tree,
  unstack,
  type Value,
  vmap,
  where,
} from '../../index.ts'
import { type Budget, expectClose } from '../support/close.ts'
import { type HostArray, inner, moved, stacked, toHosts, toNdArray, toTensor } from '../support/host.ts'
import { floats, generator } from '../support/inputs.ts'
import { shaken } from '../support/roundings.ts'
import { apart, runNests } from './nests.ts'
import { draw, functionOf, type Program, type Written, write } from './programs.ts'

type Values = readonly Value[]
type Hosts = readonly HostArray[]
type Arrays = (...xs: Values) => Values

// ---- structures, written out

const slicesOf = (xs: unknown, k: number): unknown => tree.map((x: Value) => unstack(x, { axis: 0 })[k]!, xs)
const stackTrees = (ys: readonly unknown[]): unknown =>
  tree.map((...leaves: Value[]) => cotangent.stack(leaves), ys[0], ...ys.slice(1))
const choose = (c: Value, a: unknown, b: unknown): unknown =>
  tree.map((x: Value, y: Value) => where(c, x, y), a, b)

/** The package with structures that are what they stand for: loops of JavaScript, and `where`. */
const plain = {
  ...cotangent,
  scan: (
    f: (c: unknown, x: unknown) => [unknown, unknown],
    init: unknown,
    xs: unknown,
    { reverse = false }: { reverse?: boolean } = {},
  ) => {
    const length = (tree.leaves(xs)[0] as Value).shape[0]!
    const order = Array.from({ length }, (_, k) => (reverse ? length - 1 - k : k))
    const ys: unknown[] = []
    let carry = init
    for (const k of order) [carry, ys[k]] = f(carry, slicesOf(xs, k))
    return [carry, stackTrees(ys)]
  },
  map: (f: (x: unknown) => unknown, xs: unknown) => {
    const length = (tree.leaves(xs)[0] as Value).shape[0]!
    return stackTrees(Array.from({ length }, (_, k) => f(slicesOf(xs, k))))
  },
  cond: (c: Value, yes: (...xs: unknown[]) => unknown, no: (...xs: unknown[]) => unknown, ...xs: unknown[]) =>
    choose(c, yes(...xs), no(...xs)),
  switchCase: (k: Value, branches: readonly ((...xs: unknown[]) => unknown)[], ...xs: unknown[]) =>
    branches
      .map((branch) => branch(...xs))
      .reduce((before, after, i) => choose(cotangent.less(k, i), before, after)),
  foriLoop: (from: number, to: number, body: (i: Value, x: unknown) => unknown, init: unknown) => {
    let x = init
    for (let i = from; i < to; i++) x = body(cotangent.full([], i, 'i32'), x)
    return x
  },
  whileLoop: (
    goes: (x: unknown) => Value,
    body: (x: unknown) => unknown,
    init: unknown,
    options = { maxIterations: 5 },
  ) => {
    let x = init
    for (let k = 0; k < options.maxIterations; k++) x = choose(goes(x), body(x), x)
    return x
  },
  checkpoint: (f: unknown) => f,
  customJvp: (f: unknown) => f,
} as unknown as typeof cotangent

// ---- a program with numbers

const wantedOf = (xs: Hosts): number[] => xs.flatMap(({ dtype }, k) => (dtype === 'f32' ? [k] : []))

/** `f`, its derivative along `vs`, and the gradient of its floats times `us`. */
function transformsOf(f: Arrays, count: number, wanted: readonly number[]) {
  const floatsOf = (ys: Values): Values => ys.filter(({ dtype }) => dtype === 'f32')
  const loss = (us: Values, ...xs: Values): Value =>
    floatsOf(f(...xs))
      .map((y, k) => sum(mul(y, us[k]!)))
      .reduce((a, b) => cotangent.add(a, b), cotangent.full([], 0))
  const gradient = (us: Values, ...xs: Values): Values =>
    grad((...xs: Values) => loss(us, ...xs), { argnums: wanted })(...xs) as unknown as Values
  const tangent = (xs: Values, vs: Values): Values => floatsOf(jvp(f, xs, vs)[1])
  const split = (all: Values): [Values, Values, Values] => [
    all.slice(0, count),
    all.slice(count, 2 * count),
    all.slice(2 * count),
  ]
  return {
    /** Of the inputs, a direction, and weights. */
    all: (...all: Values) => {
      const [xs, vs, us] = split(all)
      return [...f(...xs), ...tangent(xs, vs), ...gradient(us, ...xs)]
    },
    values: (...all: Values) => f(...split(all)[0]),
    gradient: (...all: Values) => {
      const [xs, , us] = split(all)
      return gradient(us, ...xs)
    },
    second: (...all: Values) => {
      const [xs, vs, us] = split(all)
      return jvp((...xs: Values) => gradient(us, ...xs), xs, vs)[1]
    },
    gradientOf: gradient,
  }
}

const graphOf = (f: Arrays, args: Hosts): Graph =>
  trace('program', f, args.map(({ aval }) => aval) as unknown as Values).graph
const hostsOf = (arrays: readonly NdArray[]): HostArray[] =>
  arrays.map(({ data, shape, dtype }) => toNdArray(data, shape, dtype))
const run = (graph: Graph, args: Hosts): HostArray[] => hostsOf(reference(graph, args))

interface Case {
  readonly written: Written
  readonly xs: Hosts
  readonly f: Arrays
  readonly wanted: readonly number[]
  readonly floats: number
  /** inputs, a direction, weights */
  readonly args: Hosts
  readonly transforms: ReturnType<typeof transformsOf>
  readonly graph: Graph
  readonly results: Hosts
}

function caseOf(program: Program): Case {
  const written = write(program)
  const xs = draw(written, program.seed)
  const f = functionOf(written.text)
  const wanted = wantedOf(xs)
  const random = generator(program.seed + 1)
  const vs = xs.map((x) => (x.dtype === 'f32' ? floats(x.shape).draw(random) : x))
  const ys = trace('program', f, xs.map(({ aval }) => aval) as unknown as Values).graph.outputs
  const weights = ys
    .filter(({ aval }) => aval.dtype === 'f32')
    .map(({ aval }) => floats(aval.shape).draw(random))
  const args = [...xs, ...vs, ...weights]
  const transforms = transformsOf(f, xs.length, wanted)
  const graph = graphOf(transforms.all, args)
  return {
    written,
    xs,
    f,
    wanted,
    floats: weights.length,
    args,
    transforms,
    graph,
    get results() {
      return run(graph, args)
    },
  }
}

// ---- on the host

/** What was checked of a program, and what could not be. */
export interface Facts {
  /** Why the derivative was not compared with differences, if it was not. */
  readonly undifferenced: 'by design' | 'a corner' | 'not finite' | null
  readonly kinds: readonly string[]
}

const largest = ({ data }: HostArray): number =>
  data.reduce((most, x) => (Number.isFinite(x) ? Math.max(most, Math.abs(x)) : most), 1)

/** Arrays are equal up to roundings of double precision. */
function expectSame(law: string, found: Hosts, expected: Hosts, share = 1e-9): void {
  if (found.length !== expected.length)
    throw new Error(`${law}: ${found.length} results, expected ${expected.length}`)
  for (const [k, y] of expected.entries())
    expectClose(found[k]!, y, { relative: share, absolute: share * largest(y) }, `${law}, result ${k}`)
}

const allFinite = (xs: Hosts): boolean => xs.every(({ data }) => data.every(Number.isFinite))

/**
 * The derivative at 0 of a function of a number, by differences; null at a corner, where the sides disagree however small the
 * steps are.
 */
function derivative(f: (t: number) => number): { readonly slope: number; readonly error: number } | null {
  const at = f(0)
  for (let h = 1e-4; h > 1e-7; h /= 8) {
    const [a, b, c, d] = [f(-h), f(-h / 2), f(h / 2), f(h)]
    const sides = [(at - b) / (h / 2), (c - at) / (h / 2), (b - a) / (h / 2), (d - c) / (h / 2)]
    const [wide, near] = [(d - a) / (2 * h), (c - b) / h]
    const slope = (4 * near - wide) / 3
    const scale = Math.max(1, Math.abs(slope))
    const gap = Math.max(...sides) - Math.min(...sides)
    if (gap < 1e-2 * scale && Math.abs(near - wide) < 1e-4 * scale)
      return { slope, error: 1e-6 * scale + Math.abs(near - wide) }
  }
  return null
}

const layoutOf = (xs: Hosts, seed: number): (number | null)[] => {
  const axes = xs.map((_, k) => [0, -1, null][(seed >>> (2 * (k % 12))) % 3]!)
  return axes.every((axis) => axis === null) ? [0, ...axes.slice(1)] : axes
}

/** Fails unless a program obeys the laws in double precision. */
export function checkMeaning(program: Program): Facts {
  const it = caseOf(program)
  const { written, xs, wanted, args, transforms, graph, results } = it
  const [count, outputs] = [xs.length, results.length - it.floats - wanted.length]
  const tangents = results.slice(outputs, outputs + it.floats)
  const slopes = results.slice(outputs + it.floats)
  const directions = wanted.map((k) => args[count + k]!)
  const weights = args.slice(2 * count)

  expectSame('structures = what they are compiled to', hostsOf(shaken(graph, args, null)), results, 0)

  const unrolled = transformsOf(functionOf(written.text, plain), count, wanted)
  expectSame('structures = written out, with derivatives', run(graphOf(unrolled.all, args), args), results)

  const whole = allFinite(results)
  if (whole) {
    const [forward, backward] = [inner(tangents, weights), inner(directions, slopes)]
    const size = tangents.reduce(
      (total, { data }, k) => total + data.reduce((all, x, i) => all + Math.abs(x * weights[k]!.data[i]!), 0),
      1,
    )
    if (!(Math.abs(forward - backward) <= 1e-9 * size))
      throw new Error(`⟨Jv, u⟩ = ⟨v, Jᵀu⟩: ${forward} and ${backward}`)
  }

  const values0 = graphOf(it.f, xs)
  let undifferenced: Facts['undifferenced'] = null
  const shifted = (t: number): HostArray[] =>
    xs.map((x, k) => (wanted.includes(k) ? moved(x, args[count + k]!, t) : x))
  const weighted = (graph: Graph, inputs: Hosts): number =>
    inner(
      run(graph, inputs).filter(({ dtype }) => dtype === 'f32'),
      weights,
    )
  if (!written.isSmooth) undifferenced = 'by design'
  else if (!whole) undifferenced = 'not finite'
  else {
    const limit = derivative((t) => weighted(values0, shifted(t)))
    if (limit === null) undifferenced = 'a corner'
    else if (!(Math.abs(limit.slope - inner(tangents, weights)) <= limit.error))
      throw new Error(
        `jvp = central differences: ${inner(tangents, weights)}, but the limit of differences is ${limit.slope}`,
      )
  }

  const examples = [1, 2].map((k) => draw(written, program.seed + 7 * k))
  const inAxes = layoutOf(xs, program.seed)
  const batched = (list: readonly Hosts[]): HostArray[] =>
    xs.map((x, k) => {
      const axis = inAxes[k]!
      const column = list.map((example) => example[k]!)
      return axis === null ? x : stacked(column, axis < 0 ? x.shape.length : 0)
    })
  const each = examples.map((example) => xs.map((x, k) => (inAxes[k] === null ? x : example[k]!)))
  const batch = batched(examples)
  const loop = (graph: Graph, before: Hosts): HostArray[] => {
    const rows = each.map((inputs) => run(graph, [...inputs, ...before]))
    return rows[0]!.map((_, k) =>
      stacked(
        rows.map((row) => row[k]!),
        0,
      ),
    )
  }
  expectSame('vmap = loop', run(graphOf(vmap(it.f, { inAxes }), batch), batch), loop(values0, []), 1e-8)

  if (program.seed % 4 === 0 && wanted.length > 0) {
    const slope = (...all: Values): Values =>
      transforms.gradientOf(all.slice(xs.length), ...all.slice(0, xs.length))
    const mapped = vmap(slope, { inAxes: [...inAxes, ...weights.map(() => null)] })
    const inputs = [...batch, ...weights]
    expectSame(
      'vmap of grad = loop of grad',
      run(graphOf(mapped, inputs), inputs),
      loop(graphOf(slope, [...xs, ...weights]), weights),
      1e-8,
    )
  }
  if (program.seed % 4 === 1 && undifferenced === null && wanted.length > 0) {
    const second = run(graphOf(transforms.second, args), args)
    if (allFinite(second)) {
      const slope = graphOf(transforms.gradient, args)
      const probes = wanted.map((k) => floats(xs[k]!.shape).draw(generator(program.seed + k)))
      const limit = derivative((t) => inner(run(slope, [...shifted(t), ...args.slice(count)]), probes))
      const found = inner(second, probes)
      if (limit !== null && !(Math.abs(limit.slope - found) <= limit.error))
        throw new Error(
          `jvp of grad = central differences of grad: ${found}, but the limit is ${limit.slope}`,
        )
    }
  }
  return { undifferenced, kinds: written.kinds }
}

// ---- in kernels

/** Equations in kernels as the compiler chooses them; the bodies of loops are as they come. */
const fused = (graph: Graph, maxArrays: number, isBody: boolean): Group[] =>
  isBody ? fuse(graph, maxArrays) : inOrder(mergeSingles(fuse(graph, maxArrays), maxArrays))

/** Groups in an order in which each has what it reads. */
function inOrder(groups: readonly Group[]): Group[] {
  const doings = groups.map((group) => {
    const members = [...group.members]
    const made = new Set(members.flatMap(({ outputs }) => outputs))
    const read = members.flatMap(({ inputs, guard }) => [...inputs, ...(guard ? [guard] : [])])
    const reads = read.filter((atom) => atom instanceof Var).filter((variable) => !made.has(variable))
    const doing = { group, reads, writes: group.outputs }
    return runsAlone(group.root.primitive) ? doing : { ...doing, kernel: true }
  })
  return arrange(doings, [], (family) => family.model).order.flatMap((thing) =>
    'group' in thing ? [thing.group] : [],
  )
}

/**
 * Fails unless a program has the same bits when its equations share kernels, of which none binds more arrays than it may,
 * and computes what its graph means.
 */
export function checkFusion(program: Program): void {
  const { graph, args } = caseOf(program)
  const simple = simplify(inline(graph))
  const maxArrays = [6, 9, 12][program.seed % 3]!
  const expected = runNests(simple, args, { groups: apart, maxArrays: 64, garbage: Number.NaN })
  const found = runNests(simple, args, { groups: fused, maxArrays, garbage: 3 })
  for (const [k, y] of expected.entries()) {
    const [a, b] = [found[k]!, y].map(
      ({ buffer, byteOffset, length }) => new Uint32Array(buffer, byteOffset, length),
    )
    const at = a!.findIndex((word, i) => word !== b![i])
    if (at >= 0)
      throw new Error(
        `fused = unfused: element ${at} of result ${k} is ${found[k]![at]}, expected ${y[at]}; ${maxArrays} arrays a kernel`,
      )
  }
  const meant = run(graph, args)
  const budgets = budgetsOf(graph, args, meant)
  for (const [k, y] of meant.entries()) {
    const { shape, dtype } = y
    if (budgets[k])
      expectClose({ data: expected[k]!, shape, dtype }, y, budgets[k], `in kernels: result ${k}`)
  }
}

// ---- on the device

/** Which results of a program the device is asked for, and how. */
export interface Ask {
  /** The values alone, or with a tangent and gradients. */
  readonly derivatives: boolean
  /** As one program; each equation in a kernel of its own; kernels that read few arrays; each operation as it is called. */
  readonly ways: readonly ('fused' | 'apart' | 'narrow' | 'eager')[]
}

/** A program is unsteady if roundings alone move its results so far, as a share of the largest element. */
const unsteady = 2e-3

/** How far roundings move each result; null where they change it altogether. */
function budgetsOf(graph: Graph, args: Hosts, expected: Hosts): (Budget | null)[] {
  const samples = [11, 22, 33].map((seed) => shaken(graph, args, seed))
  return expected.map((y, k) => {
    const gap = samples.reduce(
      (most, sample) =>
        y.data.reduce((most, value, i) => {
          const other = sample[k]!.data[i]!
          return Object.is(value, other)
            ? most
            : Math.max(most, Math.abs(value - other) || Number.POSITIVE_INFINITY)
        }, most),
      0,
    )
    if (y.dtype !== 'f32') return gap > 0 ? null : {}
    if (gap > unsteady * largest(y)) return null
    return { relative: 1e-6, absolute: 4 * gap + 3e-7 * largest(y) }
  })
}

/** The words of arrays, for comparing bits. */
const bitsOf = async (values: Values): Promise<string[]> =>
  Promise.all(
    values.map(async (value) => {
      const { buffer, byteOffset, byteLength } = await value.data()
      return String(new Uint32Array(buffer, byteOffset, byteLength / 4))
    }),
  )

function launched(graph: Graph, kept: Graph['outputs'], maxArrays: number, tensors: Values): Values {
  const atoms = [...graph.outputs, ...kept]
  const plan = compile({ ...graph, outputs: atoms }, maxArrays)
  for (const step of plan.steps)
    if (step.kind === 'dispatch' && step.inputs.length + step.outputs.length > maxArrays)
      throw new Error(
        `narrow: kernel ${step.name} binds ${step.inputs.length + step.outputs.length} arrays of ${maxArrays}`,
      )
  const origin = { operation: 'plan', site: null }
  const outputs = atoms.map((atom) =>
    'value' in atom ? new cotangent.Constant(atom.value, atom.aval) : new Tensor(atom.aval, null, origin),
  )
  launch(
    new Plan((machine) =>
      machine instanceof Device ? GpuProgram.of(machine, plan) : build(machine, { ...graph, outputs: atoms }),
    ),
    tensors.map((tensor) => (tensor as Tensor).storage),
    outputs.filter((output) => output instanceof Tensor).map(({ storage }) => storage),
    [],
  )
  return outputs.slice(0, graph.outputs.length)
}

/** Runs programs as one, in several ways; returns the number of results that roundings alone change altogether. */
export async function checkDevice(list: readonly Program[], { derivatives, ways }: Ask): Promise<number> {
  const cases = list.map(caseOf)
  const starts = cases.map((_, k) => cases.slice(0, k).reduce((sum, { args }) => sum + args.length, 0))
  const args = cases.flatMap(({ args }) => args)
  const ask: Arrays = (...all) =>
    cases.flatMap(({ transforms, args }, k) => {
      const own = all.slice(starts[k], starts[k]! + args.length)
      return derivatives ? transforms.all(...own) : transforms.values(...own)
    })
  const graph = graphOf(ask, args)
  const expected = run(graph, args)
  const budgets = budgetsOf(graph, args, expected)
  const tensors = args.map((x) => toTensor(x))
  const compare = (way: string, found: Hosts): void => {
    for (const [k, y] of expected.entries())
      if (budgets[k]) expectClose(found[k]!, y, budgets[k], `the device, ${way}: result ${k}`)
  }
  for (const way of ways) {
    if (way === 'fused') {
      const once = jit(ask)(...tensors)
      compare(way, await toHosts(once))
      const bits = await bitsOf(once)
      const again = await bitsOf(jit(ask)(...tensors))
      if (String(bits) !== String(again)) throw new Error('two runs: the results differ in their bits')
      const donated = jit(ask, { donate: args.map((_, k) => k) })(...args.map((x) => toTensor(x)))
      if (String(bits) !== String(await bitsOf(donated)))
        throw new Error('donate: the results differ in their bits')
    } else if (way === 'eager') {
      compare(way, await toHosts(ask(...tensors)))
    } else if (way === 'narrow') {
      compare(way, await toHosts(launched(graph, [], 6, tensors)))
    } else {
      const kept = graph.equations.flatMap(({ outputs }) => outputs)
      compare(way, await toHosts(launched(graph, kept, 9, tensors)))
    }
  }
  return budgets.filter((budget) => budget === null).length
}
