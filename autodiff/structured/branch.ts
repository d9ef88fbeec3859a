// `cond` and `switchCase`: one of several programs, chosen by a number that only the device knows. Kernels of the others do
// not run.

import {
  type ArrayLike,
  Aval,
  type Batched,
  bind,
  broadcastTo,
  Constant,
  cast,
  closed,
  equal,
  full,
  type Graph,
  isFloat,
  Literal,
  type MaybeZero,
  maximum,
  minimum,
  type Primitive,
  reference,
  toArray,
  toValue,
  trace,
  tree,
  type Value,
  Var,
  where,
  zerosLike,
} from '../../core/index.ts'
import { transposeGraph } from '../linearize.ts'
import { batchGraph, placeBatch } from '../vmap.ts'
import {
  type Apart,
  apartOf,
  applyLinear,
  arraysOf,
  avalsOf,
  type Closed,
  dualsOf,
  graphOf,
  partsOf,
  reaches,
  requireSame,
  spreadTo,
} from './derive.ts'

/** All branches take the same operands and give results of the same types. The first input, an i32, is which one runs. */
interface SwitchParams {
  readonly branches: readonly Graph[]
}

const switchPrimitive: Primitive<SwitchParams> = {
  name: 'switch',
  type: (_, { branches }) => avalsOf(branches[0]!.outputs),
  jvp: {
    together: (tangents, primals, params, apart) =>
      (apart ? linearized : differentiated)(tangents, primals, params),
  },
  transpose: transposed,
  batch: batched,
  reference: ([choice, ...operands], { branches }) => reference(branches[choice!.data[0]!]!, operands),
  lower: {
    kind: 'branches',
    graphs: ({ branches }) => branches,
    chosen: (choice, k, outer) => {
      const here = equal(choice, k)
      return outer === null ? here : where(outer, here, false)
    },
    merge: (chosen, results) => results.reduce((merged, result, k) => where(chosen[k]!, result, merged)),
  },
}

/** Branches that were made one by one take what any of them captured; those arrays come before the operands. */
export function unified(
  made: readonly Closed[],
  operands: number,
): { readonly branches: Graph[]; readonly captured: Value[] } {
  const captured = [...new Set(made.flatMap(({ captured }) => captured))]
  const branches = made.map(({ graph, captured: own }) => ({
    ...graph,
    inputs: [
      ...captured.map((value) => {
        const k = own.indexOf(value)
        return k < 0 ? new Var(value.aval) : graph.inputs[k]!
      }),
      ...graph.inputs.slice(graph.inputs.length - operands),
    ],
  }))
  return { branches, captured }
}

/** Whether any of the lists marks a place. */
const anyOf = (lists: readonly (readonly boolean[])[]): boolean[] =>
  lists[0]!.map((_, k) => lists.some((list) => list[k]))

function differentiated(
  tangents: readonly MaybeZero[],
  primals: readonly Value[],
  { branches }: SwitchParams,
) {
  const [choice, ...operands] = primals as [Value, ...Value[]]
  const given = tangents.slice(1)
  const marks = given.map((tangent) => tangent !== null)
  const nonzero = anyOf(branches.map((branch) => reaches(branch, marks, false)))
  const moving = given.filter((tangent) => tangent !== null)
  const avals = [...avalsOf(operands), ...avalsOf(moving)]
  const made = branches.map((branch) =>
    graphOf(avals, (values) => {
      const [here, moved] = partsOf(values, operands.length)
      const duals = dualsOf(branch, here, spreadTo(moved, marks))
      return [...duals.outputs, ...arraysOf(duals.tangents, duals.outputs, nonzero)]
    }),
  )
  const { branches: both, captured } = unified(made, avals.length)
  const results = bind(switchPrimitive, [choice, ...captured, ...operands, ...moving], { branches: both })
  const [outputs, moved] = partsOf(results, nonzero.length)
  return { outputs, tangents: spreadTo(moved, nonzero) }
}

/** Branches that give their residuals too, and linear ones that take them. Branches share the places of residuals. */
function linearized(tangents: readonly MaybeZero[], primals: readonly Value[], { branches }: SwitchParams) {
  const [choice, ...operands] = primals as [Value, ...Value[]]
  const given = tangents.slice(1)
  const marks = given.map((tangent) => tangent !== null)
  const parts = branches.map((branch) => apartOf(branch, marks))
  const nonzero = anyOf(parts.map((part) => part.nonzero))
  const { branches: own, captured } = unified(parts, operands.length)
  const inputs = [...captured, ...operands]

  // A residual is an input of the branch, or has one of the places of its type.
  const places: Aval[] = []
  const sources = own.map((branch, b) => {
    const taken = new Set<number>()
    return branch.outputs.slice(parts[b]!.outputs).map((residual): { input: number } | { place: number } => {
      const input = branch.inputs.indexOf(residual as Var)
      if (input >= 0) return { input }
      const free = places.findIndex((aval, k) => !taken.has(k) && aval.equals(residual.aval))
      const place = free >= 0 ? free : places.push(residual.aval) - 1
      taken.add(place)
      return { place }
    })
  })
  const forward = own.map((branch, b): Closed => {
    const kept = places.map((aval, k) => {
      const residual = sources[b]!.findIndex((source) => 'place' in source && source.place === k)
      return residual < 0 ? new Literal(0, aval) : branch.outputs[parts[b]!.outputs + residual]!
    })
    return {
      graph: { ...branch, outputs: [...branch.outputs.slice(0, parts[b]!.outputs), ...kept] },
      captured: [],
    }
  })
  const results = bind(switchPrimitive, [choice, ...inputs], { branches: forward.map(({ graph }) => graph) })
  const [outputs, kept] = partsOf(results, parts[0]!.outputs)

  const moving = given.filter((tangent) => tangent !== null)
  const avals = [...avalsOf(inputs), ...places, ...avalsOf(moving)]
  const linear = parts.map((part: Apart, b) =>
    graphOf(avals, (values) => {
      const [inputsHere, keptHere, movingHere] = partsOf(values, inputs.length, places.length)
      const residuals = sources[b]!.map((source) =>
        'input' in source ? inputsHere[source.input]! : keptHere[source.place]!,
      )
      return applyLinear(part, residuals, movingHere, nonzero)
    }),
  )
  const moved = unified(linear, avals.length)
  const found = bind(switchPrimitive, [choice, ...moved.captured, ...inputs, ...kept, ...moving], {
    branches: moved.branches,
  })
  return { outputs, tangents: spreadTo(found, nonzero) }
}

/** The branches transposed, each for itself. */
function transposed(
  cotangents: readonly MaybeZero[],
  [choice, ...operands]: readonly (Value | Aval)[],
  { branches }: SwitchParams,
): MaybeZero[] {
  const isLinear = operands.map((x) => x instanceof Aval)
  const known = operands.filter((x) => !(x instanceof Aval)) as Value[]
  const given = cotangents.map((ct) => ct !== null)
  const cts = cotangents.filter((ct) => ct !== null)
  const avals = [...avalsOf(known), ...avalsOf(cts)]
  const made = branches.map((branch) =>
    graphOf(avals, (values) => {
      const [knownHere, ctsHere] = partsOf(values, known.length)
      const found = transposeGraph(
        branch,
        spreadTo(
          knownHere,
          isLinear.map((linear) => !linear),
        ),
        spreadTo(ctsHere, given),
      )
      return operands.flatMap((x, k) => (x instanceof Aval ? [found[k] ?? zerosLike(x)] : []))
    }),
  )
  const { branches: back, captured } = unified(made, avals.length)
  const found = bind(switchPrimitive, [choice as Value, ...captured, ...known, ...cts], { branches: back })
  return [null, ...spreadTo(found, isLinear)]
}

/** Examples that agree on the branch run it as a batch; where each has its own, all branches run, and each takes its own. */
function batched(
  [choice, ...operands]: readonly Batched[],
  { branches }: SwitchParams,
  size: number,
): Batched[] {
  const all = (branch: Graph): Batched[] => batchGraph(branch, operands, [], size)
  if (choice!.axis !== null) {
    const numbers = placeBatch(choice!, 0, size)
    const results = branches.map((branch) => all(branch).map((result) => placeBatch(result, 0, size)))
    return results[0]!.map((first, k) => {
      const at = (b: number): Value =>
        broadcastTo(equal(numbers, b).reshape([size, ...first.shape.slice(1).map(() => 1)]), first.shape)
      return {
        value: results.reduce(
          (merged, result, b) => (b === 0 ? merged : where(at(b), result[k]!, merged)),
          first,
        ),
        axis: 0,
      }
    })
  }
  const marks = operands.map(({ axis }) => axis !== null)
  const arrays = operands.map((operand) =>
    operand.axis === null ? operand.value : placeBatch(operand, 0, size),
  )
  const avals = avalsOf(arrays)
  let axes: (readonly boolean[])[] = []
  const made = (wanted: readonly boolean[] | null): Closed[] =>
    branches.map((branch, b) =>
      graphOf(avals, (values) => {
        const here = values.map((value, k) => ({ value, axis: marks[k] ? 0 : null }))
        const results = batchGraph(branch, here, [], size)
        axes = axes.with(
          b,
          results.map(({ axis }) => axis !== null),
        )
        return results.map((result, k) => (wanted?.[k] ? placeBatch(result, 0, size) : result.value))
      }),
    )
  axes = branches.map(() => [])
  made(null)
  const wanted = anyOf(axes)
  const { branches: together, captured } = unified(made(wanted), avals.length)
  const results = bind(switchPrimitive, [choice!.value, ...captured, ...arrays], { branches: together })
  return results.map((value, k) => ({ value, axis: wanted[k] ? 0 : null }))
}

/**
 * `branches[index](...operands)`; an index outside is clamped. All branches are traced, and must return the same structure
 * and types; one of them runs. Under `vmap`, an index that differs between examples runs them all.
 *
 * @example
 * ```ts
 * import { switchCase, tensor } from 'cotangent'
 * await switchCase(tensor(1, { dtype: 'i32' }), [(x) => x.neg(), (x) => x.mul(2)], tensor(3)).item() // 6
 * ```
 */
export function switchCase<A extends readonly unknown[], R>(
  index: ArrayLike,
  branches: readonly ((...operands: A) => R)[],
  ...operands: A
): R {
  return choose('switchCase', index, branches, operands)
}

/**
 * `onTrue(...operands)` if `predicate` is true (or not zero), else `onFalse(...operands)`. Both are traced, and must return
 * the same structure and types; one of them runs. Under `vmap`, a predicate that differs between examples runs both.
 *
 * @example
 * ```ts
 * import { cond, tensor } from 'cotangent'
 * const root = (x) => cond(x.less(0), () => x.mul(0), () => x.sqrt())
 * await root(tensor(9)).item() // 3
 * ```
 */
export function cond<A extends readonly unknown[], R>(
  predicate: ArrayLike,
  onTrue: (...operands: A) => R,
  onFalse: (...operands: A) => R,
  ...operands: A
): R {
  return choose('cond', cast(toArray(predicate), 'bool'), [onFalse, onTrue], operands)
}

function choose<A extends readonly unknown[], R>(
  op: string,
  index: ArrayLike,
  functions: readonly ((...operands: A) => R)[],
  operands: A,
): R {
  const number = toArray(index)
  if (number.rank !== 0)
    throw new TypeError(`${op}: ${number.aval} is no scalar; choose with where(), or vmap over it`)
  if (isFloat(number.dtype)) throw new TypeError(`${op}: the index is ${number.aval}; cast it to i32`)
  if (functions.length === 0) throw new TypeError(`${op}: there are no branches; give at least one`)
  const values = tree
    .leavesWithPath(operands)
    .map(({ path, leaf }) => toValue(leaf, () => `${op}: operand ${tree.showPath(path)}`))
  const avals = tree.unflatten(operands, avalsOf(values)) as unknown as A
  const traced = functions.map((f) => trace(op, f, avals))
  const kinds = traced.map(({ graph, rebuild }) => rebuild(graph.outputs.map(({ aval }) => aval) as never))
  const branchName = (k: number): string => (op === 'cond' ? ['onFalse', 'onTrue'][k]! : `branch ${k}`)
  for (const [k, kind] of kinds.entries())
    requireSame(
      (path, first, second) =>
        `${op}: ${['the result', ...path].join('.')} is ${first} from ${branchName(0)} and ${second} from ${branchName(k)}; return the same structure and types`,
      kinds[0],
      kind,
    )
  const closedOnes = traced.map(({ graph, captured }) => ({
    graph: closed(graph),
    captured,
  }))
  const { branches, captured } = unified(closedOnes, values.length)
  const last = branches.length - 1
  const choice =
    number instanceof Constant
      ? full([], Math.min(Math.max(number.value, 0), last), 'i32')
      : maximum(minimum(cast(number, 'i32'), last), 0)
  return traced[0]!.rebuild(bind(switchPrimitive, [choice, ...captured, ...values], { branches }))
}
