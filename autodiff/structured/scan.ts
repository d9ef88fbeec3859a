// `scan`: one body, run over and over on a carry and on slices along the first axis. Its body is compiled once; its derivative
// is a scan that keeps what the derivative needs, and a linear one, which transposed is a scan backwards.

import {
  type Atom,
  Aval,
  add,
  type Batched,
  bind,
  Constant,
  closed,
  type Equation,
  type Graph,
  Literal,
  type MaybeZero,
  type NdArray,
  type Primitive,
  reference,
  toValue,
  trace,
  tree,
  Value,
  Var,
  zerosLike,
} from '../../core/index.ts'
import { evaluateGraph, transposeGraph } from '../linearize.ts'
import { batchGraph, placeBatch } from '../vmap.ts'
import {
  apartOf,
  applyLinear,
  arraysOf,
  avalsOf,
  dualsOf,
  graphOf,
  knownFrom,
  only,
  partsOf,
  promoted,
  reaches,
  requireSame,
  spreadTo,
} from './derive.ts'

/** The body takes `constants` values, then `state` values of the carry, then slices; it gives the carry, then slices. */
interface ScanParams {
  readonly length: number
  readonly reverse: boolean
  readonly constants: number
  readonly state: number
  readonly body: Graph
}

const stackedAval = ({ shape, dtype }: Aval, length: number): Aval => new Aval([length, ...shape], dtype)
const sliceAval = ({ shape, dtype }: Aval): Aval => new Aval(shape.slice(1), dtype)

const scanPrimitive: Primitive<ScanParams> = {
  name: 'scan',
  type: (_, { body, state, length }) => {
    const [carry, slices] = partsOf(avalsOf(body.outputs), state)
    return [...carry, ...slices.map((aval) => stackedAval(aval, length))]
  },
  jvp: {
    together: (tangents, primals, params, apart) => {
      const nonzero = closeOver(
        tangents.map((tangent) => tangent !== null),
        params,
        (nonzero) => reaches(params.body, nonzero, apart),
      )
      return (apart ? linearized : differentiated)(tangents, primals, params, nonzero)
    },
  },
  transpose: transposed,
  batch: batched,
  reference: (inputs, params) => run(inputs, params),
  lower: {
    kind: 'loop',
    body: ({ body }) => body,
    constants: ({ constants }) => constants,
    state: ({ state }) => state,
    turns: ({ length }) => length,
    reverse: ({ reverse }) => reverse,
  },
}

/** Marks of the inputs such that what the body makes of the carry is marked no more than the carry is. */
function closeOver(
  marks: readonly boolean[],
  { constants, state }: ScanParams,
  step: (marks: readonly boolean[]) => readonly boolean[],
): boolean[] {
  const after = step(marks)
  const next = marks.map(
    (mark, k) => mark || (k >= constants && k < constants + state && after[k - constants]!),
  )
  return next.every((mark, k) => mark === marks[k])
    ? next
    : closeOver(next, { constants, state } as ScanParams, step)
}

/** The scan of values and tangents together. */
function differentiated(
  tangents: readonly MaybeZero[],
  primals: readonly Value[],
  params: ScanParams,
  nonzero: readonly boolean[],
) {
  const { body, constants, state } = params
  const split = <T>(list: readonly T[]): T[][] => partsOf(list, constants, state)
  const marks = split(nonzero)
  const kinds = split(avalsOf(body.inputs))
  const avals = kinds.flatMap((avals, k) => [...avals, ...only(avals, marks[k]!)])
  const counts = kinds.flatMap((avals, k) => [avals.length, marks[k]!.filter(Boolean).length])
  let found: boolean[] = []
  const { graph, captured } = graphOf(avals, (values) => {
    const parts = partsOf(values, ...counts)
    const duals = dualsOf(
      body,
      [parts[0]!, parts[2]!, parts[4]!].flat(),
      [0, 1, 2].flatMap((k) => spreadTo(parts[2 * k + 1]!, marks[k]!)),
    )
    const [carry, slices] = partsOf(duals.outputs, state)
    const [moved, sliceTangents] = partsOf(duals.tangents, state)
    found = sliceTangents.map((tangent) => tangent !== null)
    return [
      ...carry,
      ...arraysOf(moved, carry, marks[1]!),
      ...slices,
      ...sliceTangents.filter((tangent) => tangent !== null),
    ]
  })
  const [given, moving] = [split(primals), split(tangents)]
  const arrays = given.flatMap((values, k) => [...values, ...arraysOf(moving[k]!, values, marks[k]!)])
  const results = bind(scanPrimitive, [...captured, ...arrays], {
    ...params,
    body: graph,
    constants: captured.length + counts[0]! + counts[1]!,
    state: counts[2]! + counts[3]!,
  })
  const [carry, carryTangents, slices, sliceTangents] = partsOf(results, state, counts[3]!, found.length)
  return {
    outputs: [...carry, ...slices],
    tangents: [...spreadTo(carryTangents, marks[1]!), ...spreadTo(sliceTangents, found)],
  }
}

/** The scan of values that keeps residuals, and the scan of tangents. */
function linearized(
  tangents: readonly MaybeZero[],
  primals: readonly Value[],
  params: ScanParams,
  nonzero: readonly boolean[],
) {
  const { constants, state } = params
  const apart = apartOf(params.body, nonzero)
  const { graph, captured, outputs } = apart
  const fixed = captured.length + constants
  const arrays = [...captured, ...primals]
  const [fixedInputs, , sliceInputs] = partsOf(graph.inputs, fixed, state)
  const residuals = graph.outputs.slice(outputs) as readonly Var[]

  // A residual is the same at each turn, or a slice that the scan reads, or cheap to have from others, or has to be kept.
  const known = knownFrom(graph, fixedInputs)
  const again = cheapFrom(
    graph,
    residuals,
    (variable) => known.has(variable) || sliceInputs.includes(variable),
  )
  const made = new Set(again.flatMap((equation) => equation.outputs))
  const needed = [...residuals, ...again.flatMap(({ inputs }) => inputs)].filter(
    (atom): atom is Var => atom instanceof Var && !made.has(atom),
  )
  const base = [...new Set(needed)]
  const [same, changing] = [base.filter((r) => known.has(r)), base.filter((r) => !known.has(r))]
  const kept = changing.filter((r) => !sliceInputs.includes(r))
  const results = bind(scanPrimitive, arrays, {
    ...params,
    body: { ...graph, outputs: [...graph.outputs.slice(0, outputs), ...kept] },
    constants: fixed,
  })
  const sameValues = evaluateGraph(
    {
      ...graph,
      inputs: fixedInputs,
      equations: graph.equations.filter(
        ({ outputs }) => outputs.length > 0 && outputs.every((o) => known.has(o)),
      ),
      outputs: same,
    },
    arrays.slice(0, fixed),
  )
  const stacks = changing.map((r) => {
    const read = sliceInputs.indexOf(r)
    return read >= 0 ? arrays[fixed + state + read]! : results[outputs + kept.indexOf(r)]!
  })

  const [fixedMarks, stateMarks] = partsOf(nonzero, constants, state)
  const [fixedTangents, stateTangents, sliceTangents] = partsOf(
    arraysOf(tangents, primals, nonzero),
    fixedMarks.filter(Boolean).length,
    stateMarks.filter(Boolean).length,
  ) as [Value[], Value[], Value[]]
  const counts = [same.length, fixedTangents.length, stateTangents.length, changing.length] as const
  const linear = graphOf(
    [
      ...avalsOf(same),
      ...avalsOf(fixedTangents),
      ...avalsOf(stateTangents),
      ...avalsOf(changing),
      ...avalsOf(sliceTangents).map(sliceAval),
    ],
    (values) => {
      const [sameHere, fixedHere, stateHere, changingHere, slicesHere] = partsOf(values, ...counts)
      const here = evaluateGraph(
        { inputs: [...same, ...changing], captures: [], equations: again, outputs: residuals },
        [...sameHere, ...changingHere],
      )
      return applyLinear(
        apart,
        here,
        [...fixedHere, ...stateHere, ...slicesHere],
        [...stateMarks, ...new Array<boolean>(outputs - state).fill(false)],
      )
    },
  )
  const moved = bind(
    scanPrimitive,
    [...linear.captured, ...sameValues, ...fixedTangents, ...stateTangents, ...stacks, ...sliceTangents],
    {
      ...params,
      body: linear.graph,
      constants: linear.captured.length + counts[0] + counts[1],
      state: counts[2],
    },
  )
  const [carryTangents, outTangents] = partsOf(moved, counts[2])
  return {
    outputs: results.slice(0, outputs),
    tangents: [...spreadTo(carryTangents, stateMarks), ...spreadTo(outTangents, apart.nonzero.slice(state))],
  }
}

/** Equations that make some of `wanted` from others of them, and from what is `given`, element by element. */
const cheapFrom = (graph: Graph, wanted: readonly Var[], given: (variable: Var) => boolean): Equation[] =>
  graph.equations.filter(({ primitive: { lower }, inputs, outputs }) => {
    const isCheap = lower.kind === 'map' || (lower.kind === 'view' && lower.free)
    const isThere = (atom: Atom): boolean => atom instanceof Literal || wanted.includes(atom) || given(atom)
    return isCheap && wanted.includes(outputs[0]!) && inputs.every(isThere)
  })

/** A linear scan backwards: it carries the cotangents of the carry, and sums those of the constants. */
function transposed(
  cotangents: readonly MaybeZero[],
  inputs: readonly (Value | Aval)[],
  params: ScanParams,
): MaybeZero[] {
  const { body, constants, state } = params
  const [fixed, carry, slices] = partsOf(inputs, constants, state)
  // A carry that begins as zero is linear all the same.
  const isZero = (x: Value | Aval): boolean => x instanceof Constant && x.value === 0
  const odd = carry.find((x) => x instanceof Value && !isZero(x))
  if (odd !== undefined)
    throw new TypeError(
      `scan: its carry holds ${odd}, in which the function is not linear; pass it as a constant`,
    )
  const isLinear = (x: Value | Aval): boolean => x instanceof Aval
  const isKnown = (x: Value | Aval): x is Value => x instanceof Value
  const known = { fixed: fixed.filter(isKnown), slices: slices.filter(isKnown) }
  const sums = fixed.filter(isLinear) as Aval[]
  const [carryCts, sliceCts] = partsOf(cotangents, state)
  const given = sliceCts.map((ct) => ct !== null)
  const carryAvals = carry.map((x) => (x instanceof Aval ? x : x.aval))
  const sliceAvals = avalsOf(body.inputs).slice(constants + state)
  const knownSlices = sliceAvals.filter((_, k) => isKnown(slices[k]!))
  const outAvals = avalsOf(body.outputs).slice(state)
  const counts = [known.fixed.length, sums.length, state, knownSlices.length] as const

  const { graph, captured } = graphOf(
    [...avalsOf(known.fixed), ...sums, ...carryAvals, ...knownSlices, ...only(outAvals, given)],
    (values) => {
      const [fixedHere, sumsHere, carryHere, slicesHere, ctsHere] = partsOf(values, ...counts)
      const knownHere = [
        ...spreadTo(fixedHere, fixed.map(isKnown)),
        ...carryHere.map(() => null),
        ...spreadTo(slicesHere, slices.map(isKnown)),
      ]
      const found = transposeGraph(body, knownHere, [...carryHere, ...spreadTo(ctsHere, given)])
      const [fixedCts, stateCts, sliceCts] = partsOf(found, constants, state)
      const added = only(fixedCts, fixed.map(isLinear))
      return [
        ...sumsHere.map((sum, k) => (added[k] ? add(sum, added[k]) : sum)),
        ...stateCts.map((ct, k) => ct ?? zerosLike(carryAvals[k]!)),
        ...sliceCts.flatMap((ct, k) => (isLinear(slices[k]!) ? [ct ?? zerosLike(sliceAvals[k]!)] : [])),
      ]
    },
  )
  const results = bind(
    scanPrimitive,
    [
      ...captured,
      ...known.fixed,
      ...sums.map((aval) => zerosLike(aval)),
      ...carryCts.map((ct, k) => ct ?? zerosLike(carryAvals[k]!)),
      ...known.slices,
      ...sliceCts.filter((ct) => ct !== null),
    ],
    {
      ...params,
      reverse: !params.reverse,
      body: graph,
      constants: captured.length + counts[0],
      state: counts[1] + state,
    },
  )
  const [fixedCts, stateCts, foundSlices] = partsOf(results, counts[1], state)
  return [
    ...spreadTo(fixedCts, fixed.map(isLinear)),
    ...stateCts,
    ...spreadTo(foundSlices, slices.map(isLinear)),
  ]
}

/** The scan of a batch: examples lie along axis 0 of what a turn sees, and so along axis 1 of what is sliced. */
function batched(inputs: readonly Batched[], params: ScanParams, size: number): Batched[] {
  const { body, constants, state } = params
  const avals = avalsOf(body.inputs)
  const turn = (marks: readonly boolean[], found: (marks: readonly boolean[]) => readonly boolean[]) => {
    let axes: boolean[] = []
    const closed = graphOf(
      avals.map((aval, k) => (marks[k] ? stackedAval(aval, size) : aval)),
      (values) => {
        const outputs = batchGraph(
          body,
          values.map((value, k) => ({ value, axis: marks[k] ? 0 : null })),
          [],
          size,
        )
        axes = outputs.map(({ axis }) => axis !== null)
        const wanted = found(axes)
        return outputs.map((output, k) => (wanted[k] ? placeBatch(output, 0, size) : output.value))
      },
    )
    return { ...closed, axes }
  }
  const marks = closeOver(
    inputs.map(({ axis }) => axis !== null),
    params,
    (marks) => turn(marks, (axes) => axes).axes,
  )
  const stateMarks = marks.slice(constants, constants + state)
  const { graph, captured, axes } = turn(marks, (axes) => [...stateMarks, ...axes.slice(state)])
  const arrays = inputs.map((input, k) =>
    marks[k] ? placeBatch(input, k < constants + state ? 0 : 1, size) : input.value,
  )
  const results = bind(scanPrimitive, [...captured, ...arrays], {
    ...params,
    body: graph,
    constants: captured.length + constants,
  })
  return results.map((value, k) => {
    if (k < state) return { value, axis: stateMarks[k] ? 0 : null }
    return { value, axis: axes[k] ? 1 : null }
  })
}

/** The meaning: a loop. */
function run(inputs: readonly NdArray[], { length, reverse, constants, state, body }: ScanParams): NdArray[] {
  const [fixed, initial, sliced] = partsOf(inputs, constants, state)
  let carry = initial
  const slices: NdArray[][] = []
  for (let n = 0; n < length; n++) {
    const k = reverse ? length - 1 - n : n
    const here = sliced.map(({ shape, dtype, data }) => {
      const size = data.length / length
      return { shape: shape.slice(1), dtype, data: data.slice(k * size, (k + 1) * size) }
    })
    const parts = partsOf(reference(body, [...fixed, ...carry, ...here]), state)
    carry = parts[0]!
    slices[k] = parts[1]!
  }
  const stacked = body.outputs.slice(state).map(({ aval: { shape, dtype, size } }, j) => {
    const data = new Float64Array(length * size)
    for (let k = 0; k < length; k++) data.set(slices[k]![j]!.data, k * size)
    return { shape: [length, ...shape], dtype, data }
  })
  return [...carry, ...stacked]
}

/** How a `scan` goes. */
export interface ScanOptions {
  /** The number of turns; needed when `xs` has no arrays. */
  readonly length?: number
  /** From the last slice to the first; results are stacked where their slices were. */
  readonly reverse?: boolean
}

/**
 * Runs `f` on each slice of `xs` along its first axis, handing a carry on: `[carry, y] = f(carry, x)`. Gives the last carry
 * and the stacked `ys`. All are trees, `xs` and `y` may be null. The carry keeps its structure and types, save that a number
 * it begins with takes the dtype in which it comes out. The body is traced
 * and compiled once, however many turns there are.
 *
 * @example
 * ```ts
 * import { add, scan, tensor } from 'cotangent'
 * const [total, partial] = scan((sum, x) => [add(sum, x), add(sum, x)], tensor(0), tensor([1, 2, 3]))
 * await partial.data() // [1, 3, 6]
 * ```
 */
export function scan<C, X, Y>(
  f: (carry: C, x: X) => readonly [C, Y],
  init: C,
  xs: X,
  { length, reverse = false }: ScanOptions = {},
): [C, Y] {
  const values = (what: string, given: unknown): Value[] =>
    tree
      .leavesWithPath(given)
      .map(({ path, leaf }) => toValue(leaf, () => `scan: ${[what, ...path].join('.')}`))
  const [given, sliced] = [values('init', init), values('xs', xs)]
  const turns = lengthOf(sliced, xs, length)
  const slices = tree.unflatten(
    xs,
    sliced.map(({ aval }) => sliceAval(aval)),
  )
  const turnOf = (initial: readonly Value[]) =>
    trace('scan', f as (...args: unknown[]) => readonly [C, Y], [
      tree.unflatten(init, avalsOf(initial)),
      slices,
    ])
  const first = turnOf(given)
  const initial = promoted(given, avalsOf(first.graph.outputs))
  const { graph, captured, rebuild } = initial === given ? first : turnOf(initial)
  const result = rebuild(graph.outputs.map(({ aval }) => aval) as never)
  requirePair('scan', result)
  requireSame(
    (path, before, after) =>
      `scan: ${['carry', ...path].join('.')} goes in as ${before} and comes out as ${after}; keep its structure and types`,
    tree.unflatten(init, avalsOf(initial)),
    result[0],
  )
  const outputs = bind(scanPrimitive, [...captured, ...initial, ...sliced], {
    length: turns,
    reverse,
    constants: captured.length,
    state: initial.length,
    body: closed(graph),
  })
  return rebuild(outputs) as [C, Y]
}

function lengthOf(sliced: readonly Value[], xs: unknown, length: number | undefined): number {
  const lengths = sliced.map(({ shape, aval }, k) => {
    if (shape.length === 0)
      throw new TypeError(
        `scan: ${pathAt(xs, k)} is ${aval}, which has no axis to go along; pass it outside of xs`,
      )
    return shape[0]!
  })
  const turns = length ?? lengths[0]
  if (turns === undefined) throw new TypeError('scan: xs holds no arrays; give the length')
  const odd = lengths.findIndex((extent) => extent !== turns)
  if (odd >= 0)
    throw new TypeError(
      `scan: ${pathAt(xs, odd)} has ${lengths[odd]} slices, not ${turns}; all of xs must have ${length === undefined ? 'as many' : 'the given length'}`,
    )
  return turns
}

const pathAt = (xs: unknown, k: number): string => ['xs', ...tree.leavesWithPath(xs)[k]!.path].join('.')

function requirePair(op: string, result: unknown): void {
  if (!Array.isArray(result) || result.length !== 2)
    throw new TypeError(
      `${op}: the body returned no pair; return [carry, y], with null for what there is not`,
    )
}
