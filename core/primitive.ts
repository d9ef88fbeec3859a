// A primitive is one record: its type rule, derivative, transpose, batching, meaning and lowering. Machines (transforms,
// the compiler, the oracle) read these facts and never ask which primitive it is.

import type { Affine } from './affine.ts'
import type { DType } from './dtype.ts'
import type { Graph } from './graph.ts'
import type { Scalar } from './scalar.ts'
import { Aval, type Shape } from './shape.ts'
import type { Value } from './value.ts'

/** Static facts of an application: axes, shapes, letters. They print, and two that print alike are equal. */
export type Params = Readonly<Record<string, unknown>>

/** An array on the host in double precision: the carrier of the oracle. Integers and bools are exact in it. */
export interface NdArray {
  readonly shape: Shape
  readonly dtype: DType
  readonly data: Float64Array
}

/** Reads the element of one of the primitive's inputs. */
export type Read = (input: number, index: readonly Affine[]) => Scalar

/** What a rule is told of an application. */
export interface Site<P> {
  readonly params: P
  readonly inputs: readonly Aval[]
  readonly output: Aval
}

/** How a primitive becomes loops. Everything but `contract` says what one element is, and fuses. */
export type Lowering<P> =
  | {
      /** Each element of the result comes from the elements at the same place. */
      readonly kind: 'map'
      element(args: readonly Scalar[], site: Site<P>): Scalar
    }
  | {
      /** Each element of the result is read from somewhere else. */
      readonly kind: 'view'
      /** No work, so it may be done again by each reader. */
      readonly free: boolean
      /** Each element of the result reads many of an input, which is therefore stored first. */
      readonly searches?: boolean
      element(index: readonly Affine[], read: Read, site: Site<P>): Scalar
    }
  | {
      /** Each element of the result folds `element` over the loops of `extents`. */
      readonly kind: 'reduce'
      extents(site: Site<P>): readonly number[]
      element(index: readonly Affine[], turn: readonly Affine[], read: Read, site: Site<P>): Scalar
      combine(a: Scalar, b: Scalar): Scalar
      identity(dtype: DType): number
    }
  | {
      /** A product of two inputs, summed over the letters that the result lacks. */
      readonly kind: 'contract'
      letters(params: P): Letters
    }
  | {
      /** Loops over pairs of rows and columns; each writes some of the results. They are groups of their own. */
      readonly kind: 'pairs'
      readonly loops: readonly ((read: Read, site: Site<P>) => Pairs)[]
    }
  | {
      /**
       * Updates are combined, one after the other, with elements along `axis` of the result, at places that are data. They are
       * groups of their own, like loops over pairs.
       */
      readonly kind: 'scatter'
      axis(params: P): number
      /** The extents of the updates that each slice along the axis has. */
      extents(site: Site<P>): readonly number[]
      /** Where along the axis an update goes, as a u32; what lies outside goes nowhere. `before` is the index before the axis. */
      place(before: readonly Affine[], turn: readonly Affine[], read: Read, site: Site<P>): Scalar
      /** An element of an update. */
      element(
        before: readonly Affine[],
        turn: readonly Affine[],
        after: readonly Affine[],
        read: Read,
        site: Site<P>,
      ): Scalar
      combine(a: Scalar, b: Scalar): Scalar
      identity(dtype: DType): number
    }
  | Structure<P>

/** How a primitive that is no loop nest becomes part of a program. */
type Structure<P> =
  | {
      /** The equation is this graph, which has no captures. */
      readonly kind: 'inline'
      graph(params: P): Graph
    }
  | {
      /** The first input chooses one of several graphs, which run on the others. */
      readonly kind: 'branches'
      graphs(params: P): readonly Graph[]
      /** Whether branch `k` runs, given the first input and whether any does. */
      chosen(choice: Value, k: number, outer: Value | null): Value
      /** One result, from what the branches give; that of a branch that was not chosen is arbitrary. */
      merge(chosen: readonly Value[], results: readonly Value[]): Value
    }
  | {
      /**
       * `body` over and over. Its inputs are the first `constants` inputs of the equation, then the state, then a slice of
       * each other input; its results are the next state, and slices of the other results. `turns` is how often, or null for
       * as long as the first part of the state, a bool, is true; further turns must then change nothing.
       */
      readonly kind: 'loop'
      body(params: P): Graph
      constants(params: P): number
      state(params: P): number
      turns(params: P): number | null
      reverse(params: P): boolean
    }
  | {
      /** The host does it, by `reference`: the program waits for what it reads, and goes on with what it gets. */
      readonly kind: 'host'
    }

/** The index letters of a product: `ik`, `kj` and `ij` for matrices. */
export interface Letters {
  readonly lhs: string
  readonly rhs: string
  readonly out: string
}

/**
 * Loops over the pairs of a row and a column in a batch, as a product of matrices of which no element is kept: a pair has inner
 * products of vectors and weights made of them, and a row has sums of its columns' vectors, weighted. Where the columns are gone
 * over `turns` times, their vectors differ each time.
 */
export interface Pairs {
  /** Which results are written: those of vectors first, then those of one number a row. */
  readonly outputs: readonly number[]
  readonly batch: number
  readonly rows: number
  readonly columns: number
  readonly turns: number
  /** Components of a vector. */
  readonly size: number
  /** A row sees the columns from `row - behind` to `row + ahead`, those that there are. */
  readonly behind: number
  readonly ahead: number
  readonly dots: readonly {
    row(batch: Affine, row: Affine, d: Affine): Scalar
    column(batch: Affine, turn: Affine, column: Affine, d: Affine): Scalar
  }[]
  /** With it, sums are of numbers relative to e^top, where `top` is the largest score of a row, which has to see a column. */
  readonly softmax: { score(dots: readonly Scalar[]): Scalar; exp(x: Scalar): Scalar } | null
  weights(dots: readonly Scalar[], at: PairIndex, top: Scalar | null): readonly Scalar[]
  /** Each is the sum over the columns of some weights times vectors. */
  readonly sums: readonly (readonly {
    readonly weight: number
    vector(batch: Affine, turn: Affine, column: Affine, d: Affine): Scalar
  }[])[]
  /** The weights whose own sums are wanted. */
  readonly totals: readonly number[]
  /** A component of each result of vectors, and where it goes. */
  vectors(row: RowIndex, d: Affine, sums: readonly Scalar[], found: RowSums): readonly Scalar[]
  placeOfVector(row: RowIndex, d: Affine): Affine
  /** Each result of numbers, and where it goes. */
  numbers(row: RowIndex, found: RowSums): readonly Scalar[]
  placeOfNumber(row: RowIndex): Affine
}

interface RowIndex {
  readonly batch: Affine
  readonly row: Affine
}

interface PairIndex extends RowIndex {
  readonly turn: Affine
  readonly column: Affine
}

/** What a row came to. */
interface RowSums {
  readonly totals: readonly Scalar[]
  readonly top: Scalar | null
}

/** The tangent or cotangent of a value; `null` is zero. */
export type MaybeZero = Value | null

/** Where the examples of a batch lie; `null` is a value that all examples share. */
export type BatchAxis = number | null

/** A value and the axis along which its examples lie. */
export interface Batched {
  readonly value: Value
  readonly axis: BatchAxis
}

type JvpRule<P> = (
  tangents: readonly MaybeZero[],
  primals: readonly Value[],
  outputs: readonly Value[],
  params: P,
) => readonly MaybeZero[]

/**
 * For a primitive that holds programs: the results and their tangents at once. With `apart`, the tangents come from
 * applications that are linear in them, so that these can be transposed alone.
 */
interface DifferentiateRule<P> {
  together(
    tangents: readonly MaybeZero[],
    primals: readonly Value[],
    params: P,
    apart: boolean,
  ): { readonly outputs: readonly Value[]; readonly tangents: readonly MaybeZero[] }
}

/** For a primitive whose derivatives are those of other primitives that compute the same. */
interface ComposedRule<P> {
  as(inputs: readonly Value[], params: P): readonly Value[]
}

/** The rules of a primitive. `P` is its parameters. */
export interface Primitive<P = Params> {
  readonly name: string
  /** The types of the results, or a `TypeError` that says which input does not fit. */
  type(inputs: readonly Aval[], params: P): readonly Aval[]
  /** The tangents of the results, linear in `tangents`; at least one of those is not zero. */
  readonly jvp: JvpRule<P> | DifferentiateRule<P> | ComposedRule<P>
  /** For a primitive linear in the inputs that are given as an `Aval`: their cotangents, the others' are null. */
  readonly transpose?: (
    cotangents: readonly MaybeZero[],
    inputs: readonly (Value | Aval)[],
    params: P,
  ) => readonly MaybeZero[]
  /** The results for a batch of `size` examples, and where the examples lie in them. */
  batch(inputs: readonly Batched[], params: P, size: number): readonly Batched[]
  /** The meaning, in double precision. */
  reference(inputs: readonly NdArray[], params: P): readonly NdArray[]
  readonly lower: Lowering<P>
  /** It does something besides computing its results, so it runs even if nobody reads them. */
  readonly effect?: true
  /** The same by other primitives, where that is cheaper than one kernel; otherwise null. Derivatives never see it. */
  readonly expand?: (inputs: readonly Value[], params: P) => readonly Value[] | null
}

/** The rules of a primitive with one result, which is nearly all of them. */
export interface SingleRules<P> {
  readonly name: string
  type(inputs: readonly Aval[], params: P): Aval
  /** `null` where the result is constant almost everywhere, or not a float. */
  readonly jvp:
    | ((tangents: readonly MaybeZero[], primals: readonly Value[], output: Value, params: P) => MaybeZero)
    | null
  readonly transpose?: (
    cotangent: Value,
    inputs: readonly (Value | Aval)[],
    params: P,
  ) => readonly MaybeZero[]
  batch(inputs: readonly Batched[], params: P, size: number): Batched
  reference(inputs: readonly NdArray[], params: P): NdArray
  readonly lower: Lowering<P>
  readonly expand?: (inputs: readonly Value[], params: P) => Value | null
  /** Whether `type` says itself if the result is weak. */
  readonly saysWeak?: true
}

/** A result is weak if all inputs of its dtype are. */
function withWeak(aval: Aval, inputs: readonly Aval[]): Aval {
  const alike = inputs.filter(({ dtype }) => dtype === aval.dtype)
  const weak = aval.dtype !== 'bool' && alike.length > 0 && alike.every((input) => input.weak)
  return weak === aval.weak ? aval : new Aval(aval.shape, aval.dtype, weak)
}

/** A primitive with one result. */
export function single<P>(rules: SingleRules<P>): Primitive<P> {
  const { jvp, transpose, expand } = rules
  return {
    name: rules.name,
    lower: rules.lower,
    type: (inputs, params) => {
      const aval = rules.type(inputs, params)
      return [rules.saysWeak ? aval : withWeak(aval, inputs)]
    },
    jvp: (tangents, primals, [output], params) => [jvp?.(tangents, primals, output!, params) ?? null],
    ...(transpose && {
      transpose: ([cotangent], inputs, params) =>
        cotangent ? transpose(cotangent, inputs, params) : inputs.map(() => null),
    }),
    ...(expand && {
      expand: (inputs, params) => {
        const result = expand(inputs, params)
        return result && [result]
      },
    }),
    batch: (inputs, params, size) => [rules.batch(inputs, params, size)],
    reference: (inputs, params) => [rules.reference(inputs, params)],
  }
}
