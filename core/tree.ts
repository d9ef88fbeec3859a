// Parameter trees: plain objects and arrays with anything else at the leaves. What immer can draft is a branch, what it
// leaves alone is a leaf, save instances of registered classes; `null` and `undefined` hold no leaf. Keys are visited in
// sorted order, as in JAX.

import { isEmpty, type Level, open, registered } from './levels.ts'

/** The keys from the root to a leaf. */
export type Path = readonly (string | number)[]

type Branch = Readonly<Record<string, unknown>> | readonly unknown[]

/** `T` with `R` in place of its leaves `L`. Optional keys, tuples, `readonly` and `null` stay. */
export type MapLeaves<T, L, R> = T extends L
  ? R
  : T extends null | undefined
    ? T
    : T extends (...args: never[]) => unknown
      ? T
      : T extends object
        ? { [K in keyof T]: MapLeaves<T[K], L, R> }
        : T

type Methods<T> = { [K in keyof T]-?: T[K] extends (...args: never[]) => unknown ? K : never }[keyof T]

/** The type of the leaves of `T`. To types, an object with methods is a leaf and any other is a branch. */
export type LeafOf<T> = T extends null | undefined
  ? never
  : T extends readonly (infer U)[]
    ? LeafOf<U>
    : T extends object
      ? [Methods<T>] extends [never]
        ? { [K in keyof T]-?: LeafOf<T[K]> }[keyof T]
        : T
      : T

/** How the instances of a class are taken apart, and made again of other children. */
export interface ClassRules<T, C extends Branch | object, S> {
  /** The children, an array or an object of trees, and what is no array: the same static data is the same structure. */
  flatten(instance: T): readonly [children: C, data: S]
  /** An instance made of children, which may be traced values, and of static data. */
  unflatten(data: S, children: C): T
}

/**
 * Makes the instances of a class branches of trees: transforms and `map` go to their children, and results are instances
 * again. Subclasses are registered for themselves. Static data are compared as plain data, or by which object they are.
 *
 * @example
 * ```ts
 * import { grad, sum, tensor, tree, type Value } from 'cotangent'
 * class Scale {
 *   constructor(public by: Value, public axis: number) {}
 * }
 * tree.register(Scale, {
 *   flatten: ({ by, axis }) => [{ by }, axis],
 *   unflatten: (axis, { by }) => new Scale(by, axis),
 * })
 * const gradient = grad((scale: Scale) => sum(scale.by.mul(3)))(new Scale(tensor([1, 2]), 0))
 * await gradient.by.data() // [3, 3]
 * ```
 */
export function register<T extends object, C extends Branch | object, S>(
  type: abstract new (...args: never[]) => T,
  rules: ClassRules<T, C, S>,
): void {
  if (
    registered.has(type.prototype) ||
    type.prototype === Object.prototype ||
    type.prototype === Array.prototype
  )
    throw new TypeError(`tree.register: ${type.name} is a branch already; register a class once`)
  registered.set(type.prototype, {
    name: type.name,
    rules: rules as unknown as ClassRules<object, object, unknown>,
  })
}

/** The children of a branch by their keys, in order; `null` for a leaf. */
export function children(node: unknown): ReadonlyMap<string | number, unknown> | null {
  const level = open(node)
  return level && new Map(level.keys.map((key, k) => [key, level.children[k]]))
}

/** `layers.3.attn.q` */
export const showPath = (path: Path): string => path.join('.')

/** Leaves with their paths, in order. */
export function leavesWithPath(tree: unknown): { readonly path: Path; readonly leaf: unknown }[] {
  const found: { path: Path; leaf: unknown }[] = []
  const visit = (node: unknown, path: Path): void => {
    if (isEmpty(node)) return
    const level = open(node)
    if (level === null) found.push({ path, leaf: node })
    else for (const [k, key] of level.keys.entries()) visit(level.children[k], [...path, key])
  }
  visit(tree, [])
  return found
}

/** The leaves in order. */
export function leaves(tree: unknown): unknown[] {
  const found: unknown[] = []
  const visit = (node: unknown): void => {
    if (isEmpty(node)) return
    const level = open(node)
    if (level === null) found.push(node)
    else level.children.forEach(visit)
  }
  visit(tree)
  return found
}

/** The paths of the leaves, as text, in order. */
export const paths = (tree: unknown): string[] => leavesWithPath(tree).map(({ path }) => showPath(path))

/** What is left of a tree without its leaves; two trees print alike if and only if they have the same structure. */
export function structure(tree: unknown): string {
  if (isEmpty(tree)) return tree === null ? '-' : '?'
  const level = open(tree)
  if (level === null) return '*'
  const named = level.kind.endsWith('{')
  const inner = level.children.map(
    (child, k) => (named ? `${JSON.stringify(level.keys[k])}:` : '') + structure(child),
  )
  return `${level.kind}${inner}${named ? '}' : ']'}`
}

/** `f` of every leaf and its path (and of the leaves at that path in further trees), in a tree of the same shape. */
export function mapWithPath(
  f: (path: Path, leaf: never, ...rest: never[]) => unknown,
  tree: unknown,
  ...rest: unknown[]
): unknown {
  const call = f as (path: Path, ...leaves: unknown[]) => unknown
  const visit = (node: unknown, others: readonly unknown[], path: Path): unknown => {
    if (isEmpty(node)) {
      const extra = others.findIndex((other) => !isEmpty(other))
      if (extra >= 0) throw surplus(extra + 2, path)
      return node
    }
    const none = others.findIndex(isEmpty)
    if (none >= 0)
      throw new TypeError(
        `tree.map: tree ${none + 2} has nothing at "${showPath(path)}"; give it what tree 1 has there`,
      )
    const level = open(node)
    const levels = others.map((other, k) => sameLevel(level, open(other), k + 2, path))
    if (level === null) return call(path, node, ...others)
    const rebuilt = level.keys.map((key, k) =>
      visit(
        level.children[k],
        levels.map((other) => other.get(key)),
        [...path, key],
      ),
    )
    return level.rebuild(rebuilt)
  }
  return visit(tree, rest, [])
}

const surplus = (tree: number, path: Path): Error =>
  new TypeError(`tree.map: tree 1 has nothing at "${showPath(path)}", but tree ${tree} has; remove it there`)

/** The children of another tree's node by key, which must be of the kind that the first tree's node is. */
function sameLevel(
  level: Level | null,
  other: Level | null,
  tree: number,
  path: Path,
): Map<unknown, unknown> {
  if (level === null && other !== null)
    throw new TypeError(
      `tree.map: tree ${tree} has a branch at "${showPath(path)}" where tree 1 has a leaf; put a leaf there`,
    )
  if (level !== null && level.kind !== other?.kind)
    throw new TypeError(
      `tree.map: tree ${tree} has another kind of node at "${showPath(path)}" than tree 1; ${remedy(level, other)}`,
    )
  const children = new Map(other?.keys.map((key, k) => [key, other.children[k]]))
  for (const key of level?.keys ?? []) if (!children.has(key)) children.set(key, undefined)
  const extra = other?.keys.find((key) => !level?.keys.includes(key) && !isEmpty(children.get(key)))
  if (extra !== undefined) throw surplus(tree, [...path, extra])
  return children
}

const remedy = (level: Level, other: Level | null): string =>
  level.kind.length === 1 && (other?.kind.length ?? 1) === 1
    ? 'make both objects or both arrays'
    : 'make both instances of one class with the same static data'

/**
 * `f` of every leaf, in a tree of the same shape. Further trees must have the same structure; the error names the first
 * path where one has not.
 *
 * @example
 * ```ts
 * import { tree } from 'cotangent'
 * tree.map((x: number, y: number) => x + y, { a: 1, b: [2] }, { a: 10, b: [20] }) // { a: 11, b: [22] }
 * ```
 */
export function map<T, L = LeafOf<T>, R = unknown>(
  f: (leaf: L, ...rest: L[]) => R,
  tree: T,
  ...rest: unknown[]
): MapLeaves<T, L, R> {
  return mapWithPath(
    (_path: Path, leaf: never, ...others: never[]) => f(leaf, ...others),
    tree,
    ...rest,
  ) as MapLeaves<T, L, R>
}

/** A tree shaped like `tree` with the given leaves. */
export function unflatten<T, R>(tree: T, newLeaves: readonly R[]): MapLeaves<T, LeafOf<T>, R> {
  let next = 0
  const build = (node: unknown): unknown => {
    if (isEmpty(node)) return node
    const level = open(node)
    return level === null ? newLeaves[next++] : level.rebuild(level.children.map(build))
  }
  const built = build(tree)
  if (next !== newLeaves.length)
    throw new TypeError(
      `tree.unflatten: the tree has ${next} leaves but ${newLeaves.length} were given; give one for each`,
    )
  return built as MapLeaves<T, LeafOf<T>, R>
}

/**
 * The leaves of a tree, and the function that makes such a tree of others.
 *
 * @example
 * ```ts
 * import { tree } from 'cotangent'
 * const [leaves, rebuild] = tree.flatten({ a: 1, b: [2, 3] })
 * leaves // [1, 2, 3]
 * rebuild([4, 5, 6]).b // [5, 6]
 * ```
 */
export const flatten = <T>(
  tree: T,
): [leaves: LeafOf<T>[], rebuild: <R>(leaves: readonly R[]) => MapLeaves<T, LeafOf<T>, R>] => [
  leaves(tree) as LeafOf<T>[],
  (newLeaves) => unflatten(tree, newLeaves),
]

/**
 * A tree of trees inside out: `tree` has the structure of `outer`, and at each of its leaves that of `inner`. The result is
 * an `inner` of `outer`s. What the leaves of `outer` and `inner` are does not matter.
 *
 * @example
 * ```ts
 * import { tree } from 'cotangent'
 * const pairs = { a: [1, 2], b: [3, 4] }
 * const [first, second] = tree.transpose({ a: 0, b: 0 }, [0, 0], pairs)
 * second.b // 4
 * ```
 */
export function transpose<O, I, T>(
  outer: O,
  inner: I,
  tree: T,
): MapLeaves<I, LeafOf<I>, MapLeaves<O, LeafOf<O>, LeafOf<T>>> {
  const columns: unknown[][] = leaves(inner).map(() => [])
  const wanted = structure(inner)
  const take = (path: Path, node: unknown): void => {
    if (structure(node) !== wanted)
      throw new TypeError(
        `tree.transpose: the tree has ${structure(node)} at "${showPath(path)}", not ${wanted}; give it the structure of the inner tree`,
      )
    for (const [k, leaf] of leaves(node).entries()) columns[k]!.push(leaf)
  }
  const visit = (node: unknown, like: unknown, path: Path): void => {
    if (isEmpty(like)) return
    const level = open(like)
    if (level === null) {
      take(path, node)
      return
    }
    const there = open(node)
    if (there?.kind !== level.kind || String(there.keys) !== String(level.keys))
      throw new TypeError(
        `tree.transpose: the tree has ${structure(node)} at "${showPath(path)}", where the outer tree has ${structure(like)}; make them agree`,
      )
    for (const [k, key] of level.keys.entries()) visit(there.children[k], level.children[k], [...path, key])
  }
  visit(tree, outer, [])
  return unflatten(
    inner,
    columns.map((column) => unflatten(outer, column)),
  ) as never
}

/** Whether two trees have the same structure and equal leaves; arrays are equal to themselves only, unless `leafEqual` says otherwise. */
export function equal(
  a: unknown,
  b: unknown,
  leafEqual: (a: unknown, b: unknown) => boolean = Object.is,
): boolean {
  if (structure(a) !== structure(b)) return false
  const others = leaves(b)
  return leaves(a).every((leaf, k) => leafEqual(leaf, others[k]))
}

/** Two trees of the same shape: leaves that `keep` chooses, and the others; `null` where the leaf is in the other one. */
export function partition<T>(keep: (path: string, leaf: unknown) => boolean, tree: T): [T, T] {
  const half = (wanted: boolean): T =>
    mapWithPath((path: Path, leaf: never) => (keep(showPath(path), leaf) === wanted ? leaf : null), tree) as T
  return [half(true), half(false)]
}

/** Undoes `partition`: the leaf of the first tree, or where that has none, of the second. */
export function combine<T>(first: T, second: T): T {
  const visit = (a: unknown, b: unknown, path: Path): unknown => {
    if (isEmpty(a)) return b
    const level = open(a)
    if (isEmpty(b) || level === null) return a
    const other = open(b)
    if (other?.kind !== level.kind || String(other.keys) !== String(level.keys))
      throw new TypeError(
        `tree.combine: the trees have ${structure(a)} and ${structure(b)} at "${showPath(path)}"; give the two halves of one tree`,
      )
    return level.rebuild(
      level.keys.map((key, k) => visit(level.children[k], other.children[k], [...path, key])),
    )
  }
  return visit(first, second, []) as T
}
