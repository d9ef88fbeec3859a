// Parameter trees: plain objects and arrays with anything else at the leaves. What immer can draft is a branch, what it
// leaves alone is a leaf; `null` and `undefined` hold no leaf. Keys are visited in sorted order, as in JAX.

export type Path = readonly (string | number)[]

type Branch = Readonly<Record<string, unknown>> | readonly unknown[]

/** `T` with `R` in place of its leaves `L`. */
export type MapLeaves<T, L, R> = T extends L
  ? R
  : T extends null | undefined
    ? T
    : T extends readonly unknown[] | Readonly<Record<string, unknown>>
      ? { [K in keyof T]: MapLeaves<T[K], L, R> }
      : T extends object
        ? { [K in keyof T]: MapLeaves<T[K], L, R> }
        : T

function isBranch(node: unknown): node is Branch {
  if (Array.isArray(node)) return true
  if (typeof node !== 'object' || node === null) return false
  const prototype = Object.getPrototypeOf(node)
  return prototype === Object.prototype || prototype === null
}

const isEmpty = (node: unknown): node is null | undefined => node === null || node === undefined

const keysOf = (branch: Branch): (string | number)[] =>
  Array.isArray(branch) ? [...branch.keys()] : Object.keys(branch).sort()

const child = (branch: Branch, key: string | number): unknown =>
  (branch as Record<string | number, unknown>)[key]

/** `layers.3.attn.q` */
export const showPath = (path: Path): string => path.join('.')

/** Leaves with their paths, in order. */
export function flattenWithPath(tree: unknown): { readonly path: Path; readonly leaf: unknown }[] {
  const found: { path: Path; leaf: unknown }[] = []
  const visit = (node: unknown, path: Path): void => {
    if (isEmpty(node)) return
    if (isBranch(node)) for (const key of keysOf(node)) visit(child(node, key), [...path, key])
    else found.push({ path, leaf: node })
  }
  visit(tree, [])
  return found
}

/** The leaves in order. */
export const leaves = (tree: unknown): unknown[] => flattenWithPath(tree).map(({ leaf }) => leaf)

/** The paths of the leaves, as text, in order. */
export const paths = (tree: unknown): string[] => flattenWithPath(tree).map(({ path }) => showPath(path))

/** What is left of a tree without its leaves; two trees of the same structure print alike. */
export function structure(tree: unknown): string {
  if (isEmpty(tree)) return '-'
  if (!isBranch(tree)) return '*'
  const inner = keysOf(tree).map(
    (key) => (Array.isArray(tree) ? '' : `${JSON.stringify(key)}:`) + structure(child(tree, key)),
  )
  return Array.isArray(tree) ? `[${inner}]` : `{${inner}}`
}

/** `f` of every leaf and its path (and of the leaves at that path in further trees), in a tree of the same shape. */
export function mapWithPath(
  f: (path: Path, leaf: never, ...rest: never[]) => unknown,
  tree: unknown,
  ...rest: unknown[]
): unknown {
  const call = f as (path: Path, ...leaves: unknown[]) => unknown
  const visit = (node: unknown, others: unknown[], path: Path): unknown => {
    if (isEmpty(node)) return node
    if (!isBranch(node)) {
      for (const [k, other] of others.entries()) {
        if (isEmpty(other)) throw new TypeError(missing(k + 2, path))
        if (isBranch(other))
          throw new TypeError(
            `tree.map: tree ${k + 2} has a branch at "${showPath(path)}" where tree 1 has a leaf; put a leaf there`,
          )
      }
      return call(path, node, ...others)
    }
    const keys = keysOf(node)
    for (const [k, other] of others.entries()) {
      if (isEmpty(other)) throw new TypeError(missing(k + 2, path))
      if (!isBranch(other) || Array.isArray(other) !== Array.isArray(node))
        throw new TypeError(
          `tree.map: tree ${k + 2} has another kind of node at "${showPath(path)}" than tree 1; make both objects or both arrays`,
        )
      const extra = keysOf(other).find((key) => !(key in node) && !isEmpty(child(other, key)))
      if (extra !== undefined)
        throw new TypeError(
          `tree.map: tree 1 has nothing at "${showPath([...path, extra])}", but tree ${k + 2} has; remove it there`,
        )
    }
    const entries = keys.map((key) => {
      const inner = [...path, key]
      return [
        key,
        visit(
          child(node, key),
          others.map((other) => child(other as Branch, key)),
          inner,
        ),
      ] as const
    })
    return Array.isArray(node) ? entries.map(([, value]) => value) : Object.fromEntries(entries)
  }
  return visit(tree, rest, [])
}

const missing = (tree: number, path: Path): string =>
  `tree.map: tree ${tree} has nothing at "${showPath(path)}"; give it what tree 1 has there`

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
export function map<T, L, R>(
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
export function unflatten<T, R>(tree: T, newLeaves: readonly R[]): MapLeaves<T, unknown, R> {
  let next = 0
  const built = mapWithPath(() => newLeaves[next++], tree)
  if (next !== newLeaves.length)
    throw new TypeError(
      `tree.unflatten: the tree has ${next} leaves but ${newLeaves.length} were given; give one for each`,
    )
  return built as MapLeaves<T, unknown, R>
}

/** Two trees of the same shape: leaves that `keep` chooses, and the others; `null` where the leaf is in the other one. */
export function partition<T>(keep: (path: string, leaf: unknown) => boolean, tree: T): [T, T] {
  const half = (wanted: boolean): T =>
    mapWithPath((path: Path, leaf: never) => (keep(showPath(path), leaf) === wanted ? leaf : null), tree) as T
  return [half(true), half(false)]
}

/** Undoes `partition`: the leaf of the first tree, or where that has none, of the second. */
export function combine<T>(first: T, second: T): T {
  if (isEmpty(first)) return second
  if (isEmpty(second) || !isBranch(first)) return first
  const keys = keysOf(first)
  const merged = keys.map((key) => [key, combine(child(first, key), child(second as Branch, key))] as const)
  return (Array.isArray(first) ? merged.map(([, value]) => value) : Object.fromEntries(merged)) as T
}
