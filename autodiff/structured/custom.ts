// Functions with derivatives of their own. `customJvp` is given the tangent, `customVjp` the cotangents; the graph of the
// function itself is only for its value.

import {
  Aval,
  type Batched,
  bind,
  Constant,
  closed,
  type Graph,
  isFloat,
  type MaybeZero,
  type Primitive,
  reference,
  sum,
  toValue,
  trace,
  tree,
  Unprinted,
  type Value,
  withOwnLines,
  zerosLike,
} from '../../core/index.ts'
import { valuesOf } from '../jvp.ts'
import { evaluateGraph } from '../linearize.ts'
import { batchGraph, placeBatch } from '../vmap.ts'
import { avalsOf, dualsOf, graphOf, partsOf } from './derive.ts'

type Flat = (values: readonly Value[]) => readonly Value[]

interface CustomOptions {
  /** Arguments that are no arrays, or have no derivative: they are handed to the rules as they are, in front. */
  readonly nondiffArgnums?: readonly number[]
}

/** The inputs of `f` at these positions are the same for all examples or lie along axis 0; so do all its results. */
const batchedFlat =
  (f: Flat, avals: readonly Aval[], axes: readonly (0 | null)[], size: number): Flat =>
  (values) => {
    const { graph, captured } = graphOf(avals, f)
    const inputs = values.map((value, k) => ({ value, axis: axes[k]! }))
    const shared = captured.map((value) => ({ value, axis: null }))
    return batchGraph(graph, [...shared, ...inputs], [], size).map((output) => placeBatch(output, 0, size))
  }

/** A function, its arguments apart, and what it is as a graph. */
function prepare<A extends readonly unknown[], R>(
  op: string,
  f: (...args: A) => R,
  args: A,
  fixed: readonly number[],
) {
  const moving = args.filter((_, k) => !fixed.includes(k))
  const still = fixed.map((k) => args[k])
  const values = valuesOf(op, moving)
  const call = (...given: readonly unknown[]): R => {
    const rest = [...given]
    return f(...(args.map((arg, k) => (fixed.includes(k) ? arg : rest.shift())) as unknown as A))
  }
  const traced = trace(op, call, tree.unflatten(moving, avalsOf(values)) as unknown as readonly unknown[])
  const rebuildArgs = (leaves: readonly unknown[]): unknown[] =>
    tree.unflatten(moving, leaves) as unknown as unknown[]
  return { still, moving, values, ...traced, graph: closed(traced.graph), rebuildArgs }
}

/** The leaves of what a rule returned, which has to look like `like`; what is null there is zero. */
function leavesLike(
  op: string,
  what: string,
  result: unknown,
  like: unknown,
  avals: readonly Aval[],
): Value[] {
  const flat: MaybeZero[] = []
  const visit = (node: unknown, pattern: unknown): void => {
    if (node === null || node === undefined) {
      for (const _ of tree.leaves(pattern)) flat.push(null)
      return
    }
    const inner = pattern as Record<string, unknown>
    if (tree.structure(pattern) === '*') flat.push(toValue(node, () => `${op}: ${what}`))
    else for (const key of Object.keys(inner).sort(byIndex)) visit((node as typeof inner)[key], inner[key])
  }
  visit(result, like)
  return avals.map((aval, k) => {
    const value = flat[k] ?? zerosLike(aval)
    if (String(value.aval) !== String(aval))
      throw new TypeError(`${op}: ${what} ${k} is ${value.aval}, but belongs to ${aval}; they must agree`)
    return value
  })
}

/** Indices of arrays as numbers, keys of objects as text, as trees are ordered. */
const byIndex = (a: string, b: string): number =>
  Number.isNaN(Number(a)) || Number.isNaN(Number(b)) ? (a < b ? -1 : 1) : Number(a) - Number(b)

// ---- customJvp

/** The first `captured` inputs are what the function closes over. */
interface JvpParams {
  readonly graph: Graph
  readonly captured: number
  readonly rule: Unprinted<Flat>
}

const customJvpPrimitive: Primitive<JvpParams> = {
  name: 'custom_jvp',
  type: (_, { graph }) => avalsOf(graph.outputs),
  jvp: {
    together: (tangents, primals, { captured, rule }, apart) => {
      requireConstant('customJvp', tangents.slice(0, captured))
      const [, arguments_] = partsOf(primals, captured)
      if (apart) return ruleApart(rule.value, arguments_, tangents.slice(captured))
      const moving = arguments_.map((primal, k) => tangents[captured + k] ?? zerosLike(primal))
      const results = rule.value([...arguments_, ...moving])
      const [outputs, moved] = partsOf(results, results.length / 2)
      return { outputs, tangents: moved.map((tangent) => (isFloat(tangent.dtype) ? tangent : null)) }
    },
  },
  batch: (inputs, { graph, captured, rule }, size) => {
    const axes = inputs.map(({ axis }) => (axis === null ? null : 0))
    const values = inputs.map((input) => (input.axis === null ? input.value : placeBatch(input, 0, size)))
    const avals = avalsOf(graph.inputs)
    const twice = <T>(list: readonly T[]): T[] => [...list.slice(captured), ...list.slice(captured)]
    return bindBatched(customJvpPrimitive, values, graph, axes, size, {
      captured,
      rule: new Unprinted(batchedFlat(rule.value, twice(avals), twice(axes), size)),
    })
  },
  reference: (inputs, { graph }) => reference(graph, inputs),
  lower: { kind: 'inline', graph: ({ graph }) => graph },
}

/**
 * What a rule gives, such that structures in it keep tangents apart from what they are not linear in: the rule is linear in its
 * tangents, so its derivative with respect to them, anywhere, is the rule itself.
 */
function ruleApart(rule: Flat, primals: readonly Value[], tangents: readonly MaybeZero[]) {
  const avals = avalsOf(primals)
  const { graph, captured } = graphOf([...avals, ...avals], rule)
  const fixed = [...captured, ...primals]
  const duals = dualsOf(
    graph,
    [...fixed, ...avals.map(zerosLike)],
    [...fixed.map(() => null), ...tangents],
    true,
  )
  const count = duals.outputs.length / 2
  return { outputs: duals.outputs.slice(0, count), tangents: duals.tangents.slice(count) }
}

/** The primitive with its graph batched. */
function bindBatched<P extends { readonly graph: Graph; readonly captured: number }>(
  primitive: Primitive<P>,
  values: readonly Value[],
  graph: Graph,
  axes: readonly (0 | null)[],
  size: number,
  params: Omit<P, 'graph'> & { readonly captured: number },
): Batched[] {
  const whole = graphOf(avalsOf(values), (values) =>
    batchedFlat((values) => evaluateGraph(graph, values), avalsOf(graph.inputs), axes, size)(values),
  )
  const all = { ...params, graph: whole.graph, captured: params.captured + whole.captured.length }
  return bind(primitive, [...whole.captured, ...values], all as unknown as P).map((value) => ({
    value,
    axis: 0,
  }))
}

function requireConstant(op: string, tangents: readonly MaybeZero[]): void {
  if (tangents.some((tangent) => tangent !== null))
    throw new TypeError(
      `${op}: the function closes over a value that is being differentiated; pass it as an argument`,
    )
}

/**
 * `f` with the derivative that `rule` gives: `rule(primals, tangents)` returns `[value, tangent]`, both shaped like what `f`
 * returns, the tangent linear in `tangents`. Arguments of `nondiffArgnums` come first: `rule(...nondiff, primals, tangents)`.
 *
 * @example
 * ```ts
 * import { customJvp, exp, grad, log, add, tensor } from 'cotangent'
 * const softplus = customJvp((x) => log(add(exp(x), 1)), ([x], [t]) => [log(add(exp(x), 1)), t.mul(x.logistic())])
 * await grad(softplus)(tensor(100)).item() // 1
 * ```
 */
export function customJvp<A extends readonly unknown[], R>(
  f: (...args: A) => R,
  rule: (primals: A, tangents: A) => readonly [R, R],
): (...args: A) => R
export function customJvp<A extends readonly unknown[], R>(
  f: (...args: A) => R,
  rule: (...given: never[]) => readonly [R, R],
  options: CustomOptions,
): (...args: A) => R
export function customJvp<A extends readonly unknown[], R>(
  f: (...args: A) => R,
  rule: (...given: never[]) => readonly [R, R],
  { nondiffArgnums = [] }: CustomOptions = {},
): (...args: A) => R {
  const give = rule as (...given: unknown[]) => readonly [R, R]
  return (...args) => {
    const { still, values, graph, captured, rebuild, rebuildArgs } = prepare(
      'customJvp',
      f,
      args,
      nondiffArgnums,
    )
    const flat: Flat = (given) => {
      const [primals, tangents] = partsOf(given, values.length)
      const pair = withOwnLines(() => give(...still, rebuildArgs(primals), rebuildArgs(tangents)))
      if (!Array.isArray(pair) || pair.length !== 2)
        throw new TypeError('customJvp: the rule returned no pair; return [value, tangent]')
      const avals = avalsOf(graph.outputs)
      const like = rebuild(avals as never)
      return [
        ...leavesLike('customJvp', 'value', pair[0], like, avals),
        ...leavesLike('customJvp', 'tangent', pair[1], like, avals),
      ]
    }
    return rebuild(
      bind(customJvpPrimitive, [...captured, ...values], {
        graph,
        captured: captured.length,
        rule: new Unprinted(flat),
      }),
    )
  }
}

// ---- customVjp

/** `forward` gives the results, then residuals; `backward` takes residuals and cotangents (null if zero). */
interface VjpRules {
  readonly forward: Flat
  readonly backward: (residuals: readonly Value[], cotangents: readonly MaybeZero[]) => readonly MaybeZero[]
}

interface VjpParams {
  readonly graph: Graph
  readonly captured: number
  readonly rules: Unprinted<VjpRules>
}

const customVjpPrimitive: Primitive<VjpParams> = {
  name: 'custom_vjp',
  type: (_, { graph }) => avalsOf(graph.outputs),
  jvp: {
    together: (tangents, primals, { graph, captured, rules }, apart) => {
      requireConstant('customVjp', tangents.slice(0, captured))
      if (!apart)
        throw new TypeError(
          'customVjp: the function has a rule for reverse mode only; use customJvp, or differentiate with grad or vjp',
        )
      const [, arguments_] = partsOf(primals, captured)
      const results = rules.value.forward(arguments_)
      const [outputs, residuals] = partsOf(results, graph.outputs.length)
      const moving = tangents.slice(captured)
      const moved = bind(backwardPrimitive, [...residuals, ...moving.filter((tangent) => tangent !== null)], {
        residuals: residuals.length,
        given: moving.map((tangent) => tangent !== null),
        outputs: avalsOf(outputs),
        rules,
      })
      return {
        outputs,
        tangents: moved.map((tangent) => (isFloat(tangent.dtype) ? tangent : null)),
      }
    },
  },
  batch: (inputs, { graph, captured, rules }, size) => {
    const axes = inputs.map(({ axis }) => (axis === null ? null : 0))
    const values = inputs.map((input) => (input.axis === null ? input.value : placeBatch(input, 0, size)))
    return bindBatched(customVjpPrimitive, values, graph, axes, size, {
      captured,
      rules: new Unprinted(batchedRules(rules.value, graph, captured, axes.slice(captured), size)),
    })
  },
  reference: (inputs, { graph }) => reference(graph, inputs),
  lower: { kind: 'inline', graph: ({ graph }) => graph },
}

/** The rules of a batch: residuals lie along axis 0, and the cotangent of what examples share is the sum of theirs. */
function batchedRules(
  { forward, backward }: VjpRules,
  graph: Graph,
  captured: number,
  axes: readonly (0 | null)[],
  size: number,
): VjpRules {
  const avals = avalsOf(graph.inputs).slice(captured)
  return {
    forward: batchedFlat(forward, avals, axes, size),
    backward: (residuals, cotangents) => {
      const given = cotangents.map((ct) => ct !== null)
      const cts = cotangents.filter((ct) => ct !== null)
      let found: readonly boolean[] = []
      const flat: Flat = (values) => {
        const [saved, here] = partsOf(values, residuals.length)
        const rest = [...here]
        const results = backward(
          saved,
          given.map((is) => (is ? rest.shift()! : null)),
        )
        found = results.map((ct) => ct !== null)
        return results.filter((ct) => ct !== null)
      }
      const one = ({ shape, dtype }: Aval): Aval => new Aval(shape.slice(1), dtype)
      const kinds = [...avalsOf(residuals), ...avalsOf(cts)].map(one)
      const results = batchedFlat(
        flat,
        kinds,
        kinds.map(() => 0),
        size,
      )([...residuals, ...cts])
      const rest = [...results]
      return axes.map((axis, k) => {
        const ct = found[k] ? rest.shift()! : null
        return ct !== null && axis === null ? sum(ct, { axis: 0 }) : ct
      })
    },
  }
}

/** Stands on the tape for the derivative of which only the transpose is known. */
interface BackwardParams {
  readonly residuals: number
  readonly given: readonly boolean[]
  readonly outputs: readonly Aval[]
  readonly rules: Unprinted<VjpRules>
}

const onlyBackward = (): never => {
  throw new TypeError(
    'customVjp: the function has a rule for reverse mode only, so its derivative cannot be applied to tangents; use customJvp',
  )
}

const backwardPrimitive: Primitive<BackwardParams> = {
  name: 'custom_vjp_backward',
  type: (_, { outputs }) => outputs,
  jvp: { together: onlyBackward },
  transpose: (cotangents, inputs, { residuals, given, rules }) => {
    const found = rules.value.backward(inputs.slice(0, residuals) as readonly Value[], cotangents)
    return [...new Array<null>(residuals).fill(null), ...found.filter((_, k) => given[k])]
  },
  batch: onlyBackward,
  reference: onlyBackward,
  lower: { kind: 'host' },
}

/** What the rules of `customVjp` are told. */
export interface CustomVjpOptions extends CustomOptions {
  /** Cotangents that are zero are null for the backward rule, instead of arrays of zeros. */
  readonly symbolicZeros?: boolean
}

/**
 * `f` with a derivative of its own in reverse mode: `forward(...args)` returns `[value, residuals]`, and
 * `backward(residuals, cotangent)` the cotangents of the arguments, an array of trees like them in which null is zero.
 * Arguments of `nondiffArgnums` come first in `backward(...nondiff, residuals, cotangent)`, and have no cotangent.
 *
 * @example
 * ```ts
 * import { customVjp, grad, tensor } from 'cotangent'
 * const clipped = customVjp((x) => x, (x) => [x, null], (_, ct) => [ct.minimum(1)])
 * await grad((x) => clipped(x).mul(5))(tensor(2)).item() // 1
 * ```
 */
export function customVjp<A extends readonly unknown[], R, S>(
  f: (...args: A) => R,
  forward: (...args: A) => readonly [R, S],
  backward: (residuals: S, cotangent: R) => readonly unknown[],
  options?: CustomVjpOptions & { readonly nondiffArgnums?: never },
): (...args: A) => R
export function customVjp<A extends readonly unknown[], R, S>(
  f: (...args: A) => R,
  forward: (...args: A) => readonly [R, S],
  backward: (...given: never[]) => readonly unknown[],
  options: CustomVjpOptions,
): (...args: A) => R
export function customVjp<A extends readonly unknown[], R, S>(
  f: (...args: A) => R,
  forward: (...args: A) => readonly [R, S],
  backward: (...given: never[]) => readonly unknown[],
  { nondiffArgnums = [], symbolicZeros = false }: CustomVjpOptions = {},
): (...args: A) => R {
  const give = backward as (...given: unknown[]) => readonly unknown[]
  return (...args) => {
    const { still, moving, values, graph, captured, rebuild, rebuildArgs } = prepare(
      'customVjp',
      f,
      args,
      nondiffArgnums,
    )
    const avals = avalsOf(graph.outputs)
    let saved: unknown
    const rules: VjpRules = {
      forward: (given) => {
        const rest = rebuildArgs(given)
        const all = args.map((arg, k) => (nondiffArgnums.includes(k) ? arg : rest.shift()))
        const pair = withOwnLines(() => forward(...(all as unknown as A)))
        if (!Array.isArray(pair) || pair.length !== 2)
          throw new TypeError('customVjp: the forward rule returned no pair; return [value, residuals]')
        saved = pair[1]
        const residuals = tree.leaves(saved).map((leaf) => toValue(leaf, () => 'customVjp: a residual'))
        return [...leavesLike('customVjp', 'value', pair[0], rebuild(avals as never), avals), ...residuals]
      },
      backward: (residuals, cotangents) => {
        const cts = cotangents.map((ct, k) => ct ?? (symbolicZeros ? null : zerosLike(avals[k]!)))
        const saves = tree.unflatten(saved, residuals)
        const found = withOwnLines(() => give(...still, saves, rebuild(cts as readonly Value[])))
        if (!Array.isArray(found) || found.length !== moving.length)
          throw new TypeError(
            `customVjp: the backward rule returned ${Array.isArray(found) ? found.length : 'no list of'} cotangents for ${moving.length} arguments; return one for each, null if it is zero`,
          )
        const kinds = avalsOf(values)
        return leavesLike('customVjp', 'cotangent', found, moving, kinds).map((ct, k) =>
          ct instanceof Constant && ct.value === 0 ? null : isFloat(kinds[k]!.dtype) ? ct : null,
        )
      },
    }
    return rebuild(
      bind(customVjpPrimitive, [...captured, ...values], {
        graph,
        captured: captured.length,
        rules: new Unprinted(rules),
      }),
    )
  }
}
