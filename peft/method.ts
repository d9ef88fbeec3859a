// A PEFT method is two pure functions over parameter trees: `init` makes an adapter for a base, and `apply` gives the base
// with some of its weights replaced by linear maps that use the adapter. Nothing is registered and nothing is mutated.

import type { random } from '../core/index.ts'
import { Aval, evalShape, type Shape, tree, Value } from '../core/index.ts'
import { dense, type Weight } from '../nn/index.ts'

/** A method whose adapters are trees `A` of trainable arrays. */
export interface PeftMethod<A> {
  /** A new adapter for a base; with most methods it changes nothing yet. The base's leaves may be abstract. */
  init(key: random.Key, base: unknown): A
  /** The base with adapted weights; the leaves that are not adapted are the base's own. */
  apply<P>(base: P, adapter: A): P
  /** How adapters of this method are laid out in files, if they can be. */
  readonly layout?: Layout<A>
}

/** An adapter in PEFT's files: `adapter_config.json`, and which tensor of `adapter_model.safetensors` is which leaf. */
export interface Layout<A> {
  readonly config: Readonly<Record<string, unknown>>
  /** The tensors to write. `moduleName` gives the name of the module at a path of the base. */
  tensors(adapter: A, moduleName: (path: string) => string): readonly (readonly [string, Value])[]
  /** The adapter again, from a reader of tensors by name; `like` is an adapter of the same shape. */
  restore(read: (name: string, shape: Shape) => Value, like: A, moduleName: (path: string) => string): A
}

/** Which weights to adapt: roles such as `layers.*.attn.q`, or a predicate of path and shape. */
export type Match = string | readonly string[] | ((path: string, shape: Shape) => boolean)

/** The path with its indices replaced by `*`: what the same weight is called in every layer. */
export const roleOf = (path: string): string => path.replace(/(^|\.)\d+(?=\.|$)/g, '$1*')

/** Every matrix inside a layer: what PEFT calls `all-linear`. Embeddings and the head are none. */
export const linears = (path: string, shape: Shape): boolean => shape.length === 2 && roleOf(path) !== path

/** A weight to adapt: `[out, in]` at a path of the base. */
export interface Target {
  readonly path: string
  readonly role: string
  readonly shape: readonly [number, number]
}

/** The weights of a base that `match` chooses, in the order of their paths; an error lists what there is if it is none. */
export function targetsOf(op: string, base: unknown, match: Match): Target[] {
  const chooses =
    typeof match === 'function' ? match : (path: string) => [match].flat().includes(roleOf(path))
  const matrices = tree.leavesWithPath(base).flatMap(({ path, leaf }) => {
    const { shape } = leaf as { shape: Shape }
    const text = tree.showPath(path)
    return shape.length === 2
      ? [{ path: text, role: roleOf(text), shape: shape as readonly [number, number] }]
      : []
  })
  const targets = matrices.filter(({ path, shape }) => chooses(path, shape))
  if (targets.length > 0) return targets
  const roles = [...new Set(matrices.map(({ role }) => role))]
  throw new TypeError(`${op}: no parameter matches; the base has ${roles.join(', ')}`)
}

/** The base with the weights at some paths replaced; each path must exist. */
export function replaceWeights<P>(
  op: string,
  base: P,
  adapted: Readonly<Record<string, (w: Weight) => Weight>>,
): P {
  const unused = new Set(Object.keys(adapted))
  const result = tree.mapWithPath((path: tree.Path, leaf: never) => {
    const text = tree.showPath(path)
    unused.delete(text)
    try {
      return adapted[text]?.(leaf) ?? leaf
    } catch (error) {
      throw new TypeError(`${op}: at "${text}", ${(error as Error).message}`, { cause: error })
    }
  }, base) as P
  const [missing] = unused
  if (missing !== undefined)
    throw new TypeError(`${op}: the base has nothing at "${missing}"; the adapter is for another base`)
  return result
}

/** The base with the adapter in its matrices: the same function as `apply`, as plain arrays. */
export const merge = <A, P>(method: PeftMethod<A>, base: P, adapter: A): P =>
  tree.map((w: Weight) => dense(w), method.apply(base, adapter)) as P

/** The number of trainable elements of a method on a base, which may be abstract: nothing is allocated. */
export function countTrainable<A>(method: PeftMethod<A>, key: random.Key, base: unknown): number {
  return countElements(evalShape((b: unknown) => method.init(key, b))(base))
}

/** The number of elements of all arrays of a tree. */
export const countElements = (params: unknown): number =>
  tree
    .leaves(params)
    .map((leaf) => (leaf instanceof Value || leaf instanceof Aval ? leaf.size : 0))
    .reduce((a, b) => a + b, 0)
