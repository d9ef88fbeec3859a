// One level of a tree: what is a branch and what a leaf, and classes whose instances are branches.

import { keyOf } from './identity.ts'

/** How the instances of a class are taken apart and made again. */
interface Rules {
  flatten(instance: object): readonly [children: object, data: unknown]
  unflatten(data: unknown, children: object): object
}

/** The classes whose instances are branches, by their prototypes. */
export const registered = new Map<object, { readonly name: string; readonly rules: Rules }>()

/** One level of a tree: `kind` is equal for nodes that differ in no more than their keys and children. */
export interface Level {
  readonly kind: string
  readonly keys: readonly (string | number)[]
  readonly children: readonly unknown[]
  rebuild(children: readonly unknown[]): unknown
}

function isPlain(node: unknown): node is Readonly<Record<string, unknown>> {
  if (typeof node !== 'object' || node === null) return false
  const prototype = Object.getPrototypeOf(node)
  return prototype === Object.prototype || prototype === null
}

/** A node as a branch, or null where it is a leaf. */
export function open(node: unknown): Level | null {
  if (Array.isArray(node))
    return { kind: '[', keys: [...node.keys()], children: node, rebuild: (children) => children }
  if (typeof node !== 'object' || node === null) return null
  if (isPlain(node)) {
    const keys = Object.keys(node).sort()
    const rebuild = (children: readonly unknown[]): unknown =>
      Object.fromEntries(keys.map((key, k) => [key, children[k]]))
    return { kind: '{', keys, children: keys.map((key) => node[key]), rebuild }
  }
  const prototype = Object.getPrototypeOf(node)
  const found = registered.get(prototype)
  if (found === undefined) return null
  const [children, data] = found.rules.flatten(node)
  const inner = open(children)
  if (inner === null)
    throw new TypeError(
      `tree.register: flatten of ${found.name} gives children that are no branch; return [children, data] with an array or object of children`,
    )
  return {
    ...inner,
    kind: `${found.name}${keyOf(prototype)}(${data === undefined ? '' : keyOf(data)})${inner.kind}`,
    rebuild: (children) => found.rules.unflatten(data, inner.rebuild(children) as object),
  }
}

export const isEmpty = (node: unknown): node is null | undefined => node === null || node === undefined

/** Puts the leaves of a node into a list; false if it has another structure. */
type Take = (node: unknown, into: unknown[]) => boolean

/** What gives the leaves of trees that have the structure of this one, and null for others: faster than to look at each anew. */
export function leavesLike(tree: unknown): (other: unknown) => unknown[] | null {
  const taking = (node: unknown): Take => {
    if (isEmpty(node)) return (other) => other === node
    const level = open(node)
    if (level === null)
      return (other, into) => !isEmpty(other) && open(other) === null && into.push(other) > 0
    const takes = level.children.map(taking)
    if (Array.isArray(node))
      return (other, into) =>
        Array.isArray(other) &&
        other.length === takes.length &&
        takes.every((take, k) => take(other[k], into))
    const keys = level.keys as readonly string[]
    if (level.kind === '{')
      return (other, into) =>
        isPlain(other) &&
        Object.keys(other).length === keys.length &&
        takes.every((take, k) => Object.hasOwn(other, keys[k]!) && take(other[keys[k]!], into))
    return (other, into) => {
      const there = open(other)
      return (
        there?.kind === level.kind &&
        String(there.keys) === String(level.keys) &&
        takes.every((take, k) => take(there.children[k], into))
      )
    }
  }
  const take = taking(tree)
  return (other) => {
    const found: unknown[] = []
    return take(other, found) ? found : null
  }
}
