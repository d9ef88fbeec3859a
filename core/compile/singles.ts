// Kernels of one element each, such as a count of steps and a rate that depends on it, as one kernel.

import { isHalf } from '../dtype.ts'
import { type Atom, Var } from '../graph.ts'
import { type Group, runsAlone } from './fuse.ts'

/** Joins groups that make single elements and may run at the same time, in kernels that bind at most `maxArrays` arrays. */
export function mergeSingles(groups: readonly Group[], maxArrays: number): Group[] {
  const makers = new Map<Var, Group>()
  for (const group of groups)
    for (const output of [...group.outputs, ...group.root.outputs]) makers.set(output, group)
  // How many other kernels have to run before: those of singles count as one with the singles that they read.
  const depths = new Map<Group, number>()
  const lots = new Map<number, Group[]>()
  let last = 0
  for (const group of groups) {
    const single = isSingle(group)
    let depth = 0
    for (const input of readBy([group])) {
      const maker = makers.get(input)
      if (maker === undefined) continue
      depth = Math.max(depth, depths.get(maker)! + (single && isSingle(maker) ? 0 : 1))
    }
    // What runs alone keeps its order, and so waits for all that is alone before it.
    if (runsAlone(group.root.primitive)) depth = last = Math.max(depth, last)
    depths.set(group, depth)
    if (single) lots.set(depth, [...(lots.get(depth) ?? []), group])
  }
  const merged = new Map<Group, Group | null>()
  for (const lot of lots.values()) {
    let open: Group[] = []
    const close = (): void => {
      for (const group of open) merged.set(group, null)
      if (open.length > 1) merged.set(open.at(-1)!, together(open))
      else if (open.length === 1) merged.set(open[0]!, open[0]!)
      open = []
    }
    for (const group of lot) {
      if (widthOf([...open, group]) > maxArrays) close()
      open.push(group)
    }
    close()
  }
  return groups.flatMap((group) => (merged.has(group) ? (merged.get(group) ?? []) : [group]))
}

/** What groups read that they do not make. */
function readBy(groups: readonly Group[]): Set<Var> {
  const equations = groups.flatMap(({ members }) => [...members])
  const made = new Set<Atom>(equations.flatMap(({ outputs }) => outputs))
  const read = equations.flatMap(({ inputs, guard }) => (guard ? [...inputs, guard] : inputs))
  return new Set(read.filter((atom) => atom instanceof Var).filter((variable) => !made.has(variable)))
}

const isSingle = ({ root, anchors, rows, outputs, members }: Group): boolean => {
  const { kind } = root.primitive.lower
  if (kind !== 'map' && kind !== 'view') return false
  if (anchors.length > 0 || rows !== null || [...members].some(({ guard }) => guard !== undefined))
    return false
  return outputs.every(({ aval }) => aval.size === 1 && !isHalf(aval.dtype))
}

const together = (groups: readonly Group[]): Group => ({
  root: groups.at(-1)!.root,
  members: new Set(groups.flatMap(({ members }) => [...members])),
  outputs: groups.flatMap(({ outputs }) => outputs),
  anchors: [],
  rows: null,
  half: null,
})

/** How many arrays the kernel of some groups binds. */
const widthOf = (groups: readonly Group[]): number =>
  readBy(groups).size + groups.flatMap(({ outputs }) => outputs).length
