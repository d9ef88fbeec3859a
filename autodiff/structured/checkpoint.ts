// `checkpoint`: what the derivative needs of a function is computed again in the backward pass instead of kept, all but what a
// policy saves. Trades time for memory (Griewank and Walther, "Algorithm 799: revolve", 2000).

import {
  type ArrayLike,
  Aval,
  type Batched,
  bind,
  closed,
  type Equation,
  type Graph,
  hasEffect,
  type MaybeZero,
  type Primitive,
  reference,
  single,
  toArray,
  trace,
  tree,
  type Value,
  type Var,
} from '../../core/index.ts'
import { valuesOf } from '../jvp.ts'
import { evaluateGraph, transposeGraph } from '../linearize.ts'
import { batchGraph } from '../vmap.ts'
import { apartOf, avalsOf, dualsOf, graphOf, partsOf, spreadTo } from './derive.ts'

/**
 * What a checkpoint keeps besides its arguments: `nothing`, `everything` (as if there were no checkpoint), the results of
 * `products`, or the values called so by `checkpointName`.
 */
export type CheckpointPolicy = 'nothing' | 'everything' | 'products' | { readonly names: readonly string[] }

interface CheckpointParams {
  readonly graph: Graph
  readonly policy: CheckpointPolicy
}

function isSaved({ primitive, params }: Equation, policy: CheckpointPolicy): boolean {
  if (policy === 'everything') return true
  if (policy === 'nothing') return false
  if (policy === 'products') return primitive.lower.kind === 'contract'
  return primitive === (namePrimitive as unknown as Primitive) && policy.names.includes(params.name as string)
}

const checkpointPrimitive: Primitive<CheckpointParams> = {
  name: 'checkpoint',
  type: (_, { graph }) => avalsOf(graph.outputs),
  jvp: {
    together: (tangents, primals, params, apart) =>
      (apart ? linearized : differentiated)(tangents, primals, params),
  },
  batch: (inputs, { graph, policy }, size) => {
    const axes = inputs.map(({ axis }) => axis)
    let found: Batched[] = []
    const made = graphOf(
      inputs.map(({ value }) => value.aval),
      (values) => {
        found = batchGraph(
          graph,
          values.map((value, k) => ({ value, axis: axes[k]! })),
          [],
          size,
        )
        return found.map(({ value }) => value)
      },
    )
    const results = bind(checkpointPrimitive, [...made.captured, ...inputs.map(({ value }) => value)], {
      graph: made.graph,
      policy,
    })
    return results.map((value, k) => ({ value, axis: found[k]!.axis }))
  },
  reference: (inputs, { graph }) => reference(graph, inputs),
  lower: { kind: 'inline', graph: ({ graph }) => graph },
}

/** The checkpoint of values and tangents. */
function differentiated(
  tangents: readonly MaybeZero[],
  primals: readonly Value[],
  { graph, policy }: CheckpointParams,
) {
  const marks = tangents.map((tangent) => tangent !== null)
  const moving = tangents.filter((tangent) => tangent !== null)
  let found: boolean[] = []
  const made = graphOf([...avalsOf(primals), ...avalsOf(moving)], (values) => {
    const [here, moved] = partsOf(values, primals.length)
    const duals = dualsOf(graph, here, spreadTo(moved, marks))
    found = duals.tangents.map((tangent) => tangent !== null)
    return [...duals.outputs, ...duals.tangents.filter((tangent) => tangent !== null)]
  })
  const results = bind(checkpointPrimitive, [...made.captured, ...primals, ...moving], {
    graph: made.graph,
    policy,
  })
  const [outputs, moved] = partsOf(results, found.length)
  return { outputs, tangents: spreadTo(moved, found) }
}

/** The value now, with what the policy saves; and on the tape what computes the rest again. */
function linearized(
  tangents: readonly MaybeZero[],
  primals: readonly Value[],
  { graph: own, policy }: CheckpointParams,
) {
  const marks = tangents.map((tangent) => tangent !== null)
  const moving = tangents.filter((tangent) => tangent !== null)
  const { graph, captured, outputs, linear, nonzero } = apartOf(own, marks)
  const inputs = [...captured, ...primals]
  const residuals = graph.outputs.slice(outputs) as readonly Var[]
  const made = new Map(
    graph.equations.flatMap((equation) => equation.outputs.map((output) => [output, equation])),
  )
  const saved: Var[] = []
  const again: Equation[] = []
  const needed = new Set<Var>()
  const visit = (variable: Var): void => {
    const equation = made.get(variable)
    if (equation === undefined || needed.has(variable)) return
    needed.add(variable)
    if (isSaved(equation, policy)) saved.push(variable)
    else for (const input of equation.inputs) if (!('value' in input)) visit(input)
  }
  for (const residual of residuals) visit(residual)
  for (const equation of graph.equations)
    if (
      !hasEffect(equation) &&
      equation.outputs.some((output) => needed.has(output) && !saved.includes(output))
    )
      again.push(equation)

  const results = bind(checkpointPrimitive, inputs, {
    graph: { ...graph, outputs: [...graph.outputs.slice(0, outputs), ...saved] },
    policy,
  })
  const [values, kept] = partsOf(results, outputs)
  const moved = bind(recomputePrimitive, [...inputs, ...kept, ...moving], {
    known: inputs.length + kept.length,
    graph: {
      inputs: [...graph.inputs, ...saved],
      captures: [],
      equations: again,
      outputs: residuals,
    },
    linear,
  })
  return { outputs: values, tangents: spreadTo(moved, nonzero) }
}

/** On a tape: `graph` gives the residuals from the first `known` inputs, `linear` takes them and the tangents. */
interface RecomputeParams {
  readonly known: number
  readonly graph: Graph
  readonly linear: Graph
}

const forwardOf = ({ known, graph, linear }: RecomputeParams, avals: readonly Aval[]): Graph =>
  graphOf(avals, (values) => {
    const [given, tangents] = partsOf(values, known)
    return evaluateGraph(linear, [...evaluateGraph(graph, given), ...tangents])
  }).graph

const recomputePrimitive: Primitive<RecomputeParams> = {
  name: 'recompute',
  type: (_, { linear }) => avalsOf(linear.outputs),
  jvp: {
    together: (tangents, primals, params, apart) =>
      dualsOf(forwardOf(params, avalsOf(primals)), primals, tangents, apart),
  },
  transpose: (cotangents, inputs, { known, graph, linear }) => {
    const [given, tangents] = partsOf(inputs, known)
    // Waiting for a cotangent keeps the values from being computed, or found computed, any earlier.
    const first = cotangents.find((ct) => ct !== null)!
    const residuals = evaluateGraph(
      graph,
      given.map((value) => bind(afterPrimitive, [value as Value, first], {})[0]!),
    )
    const found = transposeGraph(linear, [...residuals, ...tangents.map(() => null)], cotangents)
    return [...given.map(() => null), ...found.slice(residuals.length)]
  },
  batch: (inputs, params, size) =>
    batchGraph(
      forwardOf(
        params,
        inputs.map(
          ({ value, axis }) =>
            new Aval(
              value.shape.filter((_, k) => k !== axis),
              value.dtype,
            ),
        ),
      ),
      inputs,
      [],
      size,
    ),
  reference: (inputs, params) =>
    reference(
      forwardOf(
        params,
        inputs.map(({ shape, dtype }) => new Aval(shape, dtype)),
      ),
      inputs,
    ),
  lower: { kind: 'host' },
}

/** The first of two values, but not before the second is known. */
const afterPrimitive: Primitive<object> = single<object>({
  name: 'after',
  type: ([x]) => x!,
  jvp: ([t]) => t ?? null,
  batch: ([x, y]) => ({ value: bind(afterPrimitive, [x!.value, y!.value], {})[0]!, axis: x!.axis }),
  reference: ([x]) => x!,
  lower: { kind: 'view', free: true, element: (index, read) => read(0, index) },
})

const namePrimitive: Primitive<{ readonly name: string }> = single<{ readonly name: string }>({
  name: 'name',
  type: ([x]) => x!,
  jvp: ([t]) => t ?? null,
  batch: ([x], params) => ({ value: bind(namePrimitive, [x!.value], params)[0]!, axis: x!.axis }),
  reference: ([x]) => x!,
  lower: { kind: 'view', free: true, element: (index, read) => read(0, index) },
})

/** `x`, under a name that the policy of a checkpoint can tell to save. */
export const checkpointName = (x: ArrayLike, name: string): Value =>
  bind(namePrimitive, [toArray(x)], { name })[0]!

/** What a checkpoint keeps. */
export interface CheckpointOptions {
  /** What is kept for the backward pass; nothing but the arguments by default. */
  readonly policy?: CheckpointPolicy
}

/**
 * `f`, whose intermediate values are not kept for the backward pass but computed again in it.
 *
 * @example
 * ```ts
 * import { checkpoint, grad, sin, tensor } from 'cotangent'
 * const f = checkpoint((x) => sin(sin(x)))
 * await grad(f)(tensor(0)).item() // 1
 * ```
 */
export function checkpoint<A extends readonly unknown[], R>(
  f: (...args: A) => R,
  { policy = 'nothing' }: CheckpointOptions = {},
): (...args: A) => R {
  return (...args) => {
    const values = valuesOf('checkpoint', args)
    const { graph, captured, rebuild } = trace(
      'checkpoint',
      f,
      tree.unflatten(args, avalsOf(values)) as unknown as A,
    )
    return rebuild(bind(checkpointPrimitive, [...captured, ...values], { graph: closed(graph), policy }))
  }
}
