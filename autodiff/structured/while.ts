// `whileLoop` and `foriLoop`: a body run as long as a condition holds. How often is known on the device only, so the program
// runs some turns ahead, in which nothing changes once the condition is false, and the host looks in between.

import {
  type ArrayLike,
  Aval,
  add,
  type Batched,
  bind,
  broadcastTo,
  cast,
  closed,
  type Graph,
  type MaybeZero,
  max,
  type NdArray,
  type Primitive,
  reference,
  toArray,
  toValue,
  trace,
  tree,
  type Value,
  where,
} from '../../core/index.ts'
import { evaluateGraph } from '../linearize.ts'
import { batchGraph, placeBatch } from '../vmap.ts'
import { cond, unified } from './branch.ts'
import {
  arraysOf,
  avalsOf,
  type Closed,
  dualsOf,
  graphOf,
  partsOf,
  promoted,
  reaches,
  requireSame,
  spreadTo,
} from './derive.ts'
import { scan } from './scan.ts'

/**
 * Both graphs take `constants` values and then the state; the condition gives a bool, the body the next state. The inputs of
 * an equation are the constants, whether to begin at all, and the state.
 */
interface WhileParams {
  readonly constants: number
  readonly condition: Graph
  readonly body: Graph
}

const whilePrimitive: Primitive<WhileParams> = {
  name: 'while',
  type: (_, { body }) => [new Aval([], 'bool'), ...avalsOf(body.outputs)],
  jvp: { together: differentiated },
  batch: batched,
  reference: (inputs, params) => run(inputs, params),
  lower: {
    kind: 'loop',
    body: turnOf,
    constants: ({ constants }) => constants,
    state: ({ body }) => 1 + body.outputs.length,
    turns: () => null,
    reverse: () => false,
  },
}

/** One turn, which changes nothing once the flag is false. */
function turnOf({ constants, condition, body }: WhileParams): Graph {
  const [fixed, state] = partsOf(avalsOf(body.inputs), constants)
  const { graph } = graphOf([...fixed, new Aval([], 'bool'), ...state], (values) => {
    const [given, [flag], before] = partsOf(values, constants, 1)
    const after = cond(
      flag!,
      () => evaluateGraph(body, [...given, ...before]),
      () => before,
    )
    const [goes] = evaluateGraph(condition, [...given, ...after])
    return [where(flag!, goes!, false), ...after]
  })
  return graph
}

/** Values and tangents together. The turns are unknown beforehand, so there is no place for what reverse mode would keep. */
function differentiated(
  tangents: readonly MaybeZero[],
  primals: readonly Value[],
  params: WhileParams,
  apart: boolean,
) {
  const { constants, condition, body } = params
  const [fixed, [flag], state] = partsOf(primals, constants, 1)
  const [fixedTangents, , stateTangents] = partsOf(tangents, constants, 1)
  const isMoving = (tangent: MaybeZero): boolean => tangent !== null
  const fixedMarks = fixedTangents.map(isMoving)
  const stateMarks = closeOver(stateTangents.map(isMoving), (marks) =>
    reaches(body, [...fixedMarks, ...marks], apart),
  )
  if (!stateMarks.some(Boolean)) {
    const outputs = bind(whilePrimitive, primals, params)
    return { outputs, tangents: outputs.map(() => null) }
  }
  if (apart)
    throw new TypeError(
      'whileLoop: reverse mode has to know how many turns to keep; give maxIterations, or use scan or foriLoop',
    )
  const [movingFixed, movingState] = [
    arraysOf(fixedTangents, fixed, fixedMarks),
    arraysOf(stateTangents, state, stateMarks),
  ]
  const counts = [fixed.length, movingFixed.length, state.length] as const
  const arrays = [...fixed, ...movingFixed, ...state, ...movingState]
  const together = graphOf(avalsOf(arrays), (values) => {
    const [fixedHere, fixedMoved, stateHere, stateMoved] = partsOf(values, ...counts)
    const duals = dualsOf(
      body,
      [...fixedHere, ...stateHere],
      [...spreadTo(fixedMoved, fixedMarks), ...spreadTo(stateMoved, stateMarks)],
    )
    return [...duals.outputs, ...arraysOf(duals.tangents, duals.outputs, stateMarks)]
  })
  const test = graphOf(avalsOf(arrays), (values) => {
    const [fixedHere, , stateHere] = partsOf(values, ...counts)
    return evaluateGraph(condition, [...fixedHere, ...stateHere])
  })
  const { captured, condition: goes, body: moves } = joined(test, together, arrays.length)
  const results = bind(
    whilePrimitive,
    [...captured, ...fixed, ...movingFixed, flag!, ...state, ...movingState],
    { constants: captured.length + counts[0] + counts[1], condition: goes, body: moves },
  )
  const [outputs, moved] = partsOf(results, 1 + counts[2])
  return { outputs: outputs, tangents: [null, ...spreadTo(moved, stateMarks)] }
}

/** Marks of the state such that a turn marks nothing else. */
function closeOver(
  marks: readonly boolean[],
  step: (marks: readonly boolean[]) => readonly boolean[],
): readonly boolean[] {
  const after = step(marks)
  const next = marks.map((mark, k) => mark || after[k]!)
  return next.every((mark, k) => mark === marks[k]) ? marks : closeOver(next, step)
}

/** A condition and a body that take what either of them captured. */
function joined(test: Closed, turn: Closed, operands: number) {
  const { branches, captured } = unified([test, turn], operands)
  return { condition: branches[0]!, body: branches[1]!, captured }
}

/**
 * The loop of a batch. Examples that all go on as long go on together; otherwise each keeps its state once its condition is
 * false, and the loop ends with the last.
 */
function batched(inputs: readonly Batched[], params: WhileParams, size: number): Batched[] {
  const { constants, condition, body } = params
  const [fixed, [flag], state] = partsOf(inputs, constants, 1)
  const fixedMarks = fixed.map(({ axis }) => axis !== null)
  const stacked = ({ shape, dtype }: Aval, mark: boolean): Aval =>
    new Aval(mark ? [size, ...shape] : shape, dtype)
  const avals = avalsOf(body.inputs)
  const within = (values: readonly Value[], marks: readonly boolean[]): Batched[] =>
    values.map((value, k) => ({ value, axis: marks[k] ? 0 : null }))
  const axesOf = (graph: Graph, marks: readonly boolean[]): boolean[] => {
    let axes: boolean[] = []
    graphOf(
      avals.map((aval, k) => stacked(aval, marks[k]!)),
      (values) => {
        axes = batchGraph(graph, within(values, marks), [], size).map(({ axis }) => axis !== null)
        return []
      },
    )
    return axes
  }
  const some = closeOver(
    state.map(({ axis }) => axis !== null),
    (marks) => axesOf(body, [...fixedMarks, ...marks]),
  )
  const differs = flag!.axis !== null || axesOf(condition, [...fixedMarks, ...some])[0]!
  const stateMarks = differs ? some.map(() => true) : some
  const marks = [...fixedMarks, ...stateMarks]
  const place = (input: Batched, mark: boolean): Value => (mark ? placeBatch(input, 0, size) : input.value)
  const fixedArrays = fixed.map((input, k) => place(input, fixedMarks[k]!))
  const stateArrays = state.map((input, k) => place(input, stateMarks[k]!))
  const all = (graph: Graph, values: readonly Value[]): Value[] =>
    batchGraph(graph, within(values, marks), [], size).map((output, k) =>
      place(output, graph === condition ? differs : stateMarks[k]!),
    )
  const taken = avals.map((aval, k) => stacked(aval, marks[k]!))

  if (!differs) {
    const test = graphOf(taken, (values) => all(condition, values))
    const turn = graphOf(taken, (values) => all(body, values))
    const { captured, ...graphs } = joined(test, turn, taken.length)
    const results = bind(whilePrimitive, [...captured, ...fixedArrays, flag!.value, ...stateArrays], {
      constants: captured.length + constants,
      ...graphs,
    })
    return results.map((value, k) => ({ value, axis: k > 0 && stateMarks[k - 1] ? 0 : null }))
  }

  // Which examples go on is a part of the state.
  const [fixedAvals, stateAvals] = partsOf(taken, constants)
  const flags = place(flag!, true)
  const kinds = [...fixedAvals, flags.aval, ...stateAvals]
  const anyOf = (flags: Value): Value => max(cast(flags, 'i32')).greater(0)
  const test = graphOf(kinds, (values) => [anyOf(values[constants]!)])
  const turn = graphOf(kinds, (values) => {
    const [given, [flags], before] = partsOf(values, constants, 1)
    const moved = all(body, [...given, ...before])
    const after = before.map((old, k) =>
      where(
        broadcastTo(flags!.reshape([size, ...old.shape.slice(1).map(() => 1)]), old.shape),
        moved[k]!,
        old,
      ),
    )
    const [goes] = all(condition, [...given, ...after])
    return [where(flags!, goes!, false), ...after]
  })
  const { captured, ...graphs } = joined(test, turn, kinds.length)
  const results = bind(whilePrimitive, [...captured, ...fixedArrays, anyOf(flags), flags, ...stateArrays], {
    constants: captured.length + constants,
    ...graphs,
  })
  return results.slice(1).map((value) => ({ value, axis: 0 }))
}

/** The meaning: a loop. */
function run(inputs: readonly NdArray[], { constants, condition, body }: WhileParams): NdArray[] {
  const [fixed, [flag], initial] = partsOf(inputs, constants, 1)
  let [goes, state] = [flag!, initial]
  while (goes.data[0] !== 0) {
    state = reference(body, [...fixed, ...state])
    goes = reference(condition, [...fixed, ...state])[0]!
  }
  return [goes, ...state]
}

/** How a `whileLoop` ends. */
export interface WhileOptions {
  /** The most turns there can be; with it the loop can be differentiated in reverse, and keeps what that needs. */
  readonly maxIterations?: number
}

/**
 * `state = body(state)` as long as `condition(state)`, a bool scalar, is true. The state is a tree that keeps its structure
 * and types. Forward mode works; reverse mode needs `maxIterations`, after which the loop ends in any case.
 *
 * @example
 * ```ts
 * import { tensor, whileLoop } from 'cotangent'
 * await whileLoop((x) => x.less(100), (x) => x.mul(2), tensor(1)).item() // 128
 * ```
 */
export function whileLoop<S>(
  condition: (state: S) => Value,
  body: (state: S) => S,
  init: S,
  { maxIterations }: WhileOptions = {},
): S {
  const given = tree
    .leavesWithPath(init)
    .map(({ path, leaf }) => toValue(leaf, () => `whileLoop: ${['init', ...path].join('.')}`))
  const startOf = (values: readonly Value[]): S => tree.unflatten(init, avalsOf(values)) as unknown as S
  const first = trace('whileLoop', body, [startOf(given)])
  const values = promoted(given, avalsOf(first.graph.outputs))
  if (maxIterations !== undefined)
    return scan(
      (state: S) => [cond(condition(state), body, (state: S) => state, state), null],
      tree.unflatten(init, values) as unknown as S,
      null,
      { length: maxIterations },
    )[0]
  const start = startOf(values)
  const turn = values === given ? first : trace('whileLoop', body, [start])
  const after = turn.rebuild(avalsOf(turn.graph.outputs) as never)
  requireSame(
    (path, before, after) =>
      `whileLoop: ${['the state', ...path].join('.')} goes in as ${before} and comes out as ${after}; keep its structure and types`,
    start,
    after,
  )
  const test = trace('whileLoop', condition, [start])
  const [kind] = avalsOf(test.graph.outputs)
  if (test.graph.outputs.length !== 1 || String(kind) !== 'bool[]')
    throw new TypeError(
      `whileLoop: the condition gives ${kind ?? 'nothing'}; return a bool scalar, such as x.less(y)`,
    )
  const { captured, ...graphs } = joined(
    { graph: closed(test.graph), captured: test.captured },
    { graph: closed(turn.graph), captured: turn.captured },
    values.length,
  )
  const [flag] = evaluateGraph(graphs.condition, [...captured, ...values])
  const results = bind(whilePrimitive, [...captured, flag!, ...values], {
    constants: captured.length,
    ...graphs,
  })
  return turn.rebuild(results.slice(1))
}

/**
 * `state = body(i, state)` for `i` from `lower` up to, not including, `upper`, an i32. With numbers as bounds it is a scan, and
 * can be differentiated in every way; with arrays it is a whileLoop.
 *
 * @example
 * ```ts
 * import { foriLoop, tensor } from 'cotangent'
 * await foriLoop(0, 4, (i, x) => x.mul(2), tensor(1)).item() // 16
 * ```
 */
export function foriLoop<S>(lower: ArrayLike, upper: ArrayLike, body: (i: Value, state: S) => S, init: S): S {
  const first = cast(toArray(lower), 'i32')
  if (typeof lower === 'number' && typeof upper === 'number')
    return scan(
      ({ i, state }: { i: Value; state: S }) => [{ i: add(i, 1), state: body(i, state) }, null],
      { i: first, state: init },
      null,
      { length: Math.max(0, upper - lower) },
    )[0].state
  return whileLoop<{ i: Value; state: S }>(
    ({ i }) => i.less(cast(toArray(upper), 'i32')),
    ({ i, state }) => ({ i: add(i, 1), state: body(i, state) }),
    { i: first, state: init },
  ).state
}

/**
 * `f` of each slice of `xs` along its first axis, one after the other; `vmap` does them at once.
 *
 * @example
 * ```ts
 * import { map, tensor } from 'cotangent'
 * await map((x) => x.mul(x), tensor([1, 2, 3])).data() // [1, 4, 9]
 * ```
 */
export const map = <X, Y>(f: (x: X) => Y, xs: X): Y => scan((_: null, x: X) => [null, f(x)], null, xs)[1]
