// Which equations run together. Walking from the results back, an equation joins the kernel that reads it if it can be
// computed there once, in place; movement without work joins every reader; anything else starts a kernel of its own.

import { type Atom, type Equation, type Graph, Var } from '../graph.ts'
import type { Primitive } from '../primitive.ts'
import { sizeOf } from '../shape.ts'

/** Equations that one kernel computes. */
export interface Group {
  readonly root: Equation
  readonly members: ReadonlySet<Equation>
  /** The results that are stored. */
  readonly outputs: readonly Var[]
  /** The reductions or products whose loops the kernel has, in order; what reads them here is their epilogue. */
  readonly anchors: readonly Equation[]
}

/** Where in a kernel an equation is evaluated: once an output, once a turn of the reduction, or as an operand of a product. */
type Place = 'output' | 'turn' | 'operand'

interface Member {
  readonly place: Place
  /** Read only at the flat position that the kernel writes. */
  readonly aligned: boolean
  /** In how many ways, that may differ in index, it is read. */
  readonly reads: number
}

class OpenGroup implements Group {
  readonly root: Equation
  readonly members = new Set<Equation>()
  readonly facts = new Map<Equation, Member>()
  readonly external = new Set<Var>()
  readonly outputs: Var[] = []
  anchor: Equation | null = null

  constructor(root: Equation) {
    this.root = root
    this.outputs.push(...(isPairs(root) ? root.outputs : [result(root)]))
    this.add(root, { place: 'output', aligned: true, reads: 1 })
  }

  get anchors(): readonly Equation[] {
    return this.anchor ? [this.anchor] : []
  }

  add(equation: Equation, fact: Member): void {
    this.members.add(equation)
    this.facts.set(equation, fact)
    if (isLoop(equation)) this.anchor = equation
    for (const output of equation.outputs) this.external.delete(output)
    for (const input of variables(equation)) this.external.add(input)
  }

  /** How many arrays the kernel would read with `equation` inside. */
  width(equation: Equation): number {
    const added = variables(equation).filter((input) => !this.external.has(input))
    return this.external.size + new Set(added).size - 1
  }

  /** How often something is evaluated at a place. */
  turns(place: Place): number {
    const outputs = result(this.root).aval.size
    if (place === 'output' || this.anchor === null) return outputs
    return outputs * sizeOf(extentsOf(this.anchor))
  }
}

const variables = (equation: Equation): Var[] => equation.inputs.filter((input) => input instanceof Var)
const result = (equation: Equation): Var => equation.outputs[0]!

/** Whether an equation runs by itself: it holds a program, or the host does it. */
export const runsAlone = ({ lower }: Primitive): boolean => lower.kind === 'loop' || lower.kind === 'host'
const isAlone = ({ primitive }: Equation): boolean => runsAlone(primitive)
/** Whether an equation has kernels of its own, of which it is the end. */
const isPairs = ({ primitive }: Equation): boolean => primitive.lower.kind === 'pairs'
const isLoop = ({ primitive }: Equation): boolean =>
  primitive.lower.kind === 'reduce' || primitive.lower.kind === 'contract'

/** The loops of a reduction. */
function extentsOf({ primitive, inputs, params, outputs }: Equation): readonly number[] {
  const { lower } = primitive
  return lower.kind === 'reduce'
    ? lower.extents({ params, inputs: inputs.map(({ aval }) => aval), output: outputs[0]!.aval })
    : []
}

/** Longer chains are cut: a kernel should stay readable, and spelling one out recurses. */
const maxMembers = 256

/** Splits a graph into kernels that read at most `maxArrays` arrays each, in an order in which they can run. */
export function fuse(graph: Graph, maxArrays: number): Group[] {
  const producers = new Map(
    graph.equations.flatMap((equation) => equation.outputs.map((output) => [output, equation] as const)),
  )
  const readers = new Map<Equation, Set<Equation>>(graph.equations.map((equation) => [equation, new Set()]))
  for (const equation of graph.equations)
    for (const input of variables(equation)) {
      const producer = producers.get(input)
      if (producer !== undefined) readers.get(producer)!.add(equation)
    }
  const stored = new Set<Atom>(graph.outputs)
  for (const { guard } of graph.equations) if (guard !== undefined) stored.add(guard)
  const weightless = weightlessEquations(graph, producers)
  const groupsOf = new Map<Equation, Set<OpenGroup>>()
  const roots = new Map<Equation, OpenGroup>()

  for (const equation of graph.equations.toReversed()) {
    const { lower } = equation.primitive
    const consumers = [...readers.get(equation)!]
    const groups = new Set(consumers.flatMap((consumer) => [...groupsOf.get(consumer)!]))
    const facts = new Map([...groups].map((group) => [group, factsIn(group, equation, consumers)]))
    const repeatable = (lower.kind === 'view' && lower.free) || weightless.has(equation)
    const isStored =
      isAlone(equation) || isPairs(equation) || equation.outputs.some((output) => stored.has(output))
    const joins = (group: OpenGroup): boolean => {
      const fact = facts.get(group)!
      const most = maxArrays - group.outputs.length - (group.root.guard === undefined ? 0 : 1)
      if (fact === null || group.width(equation) > most || group.members.size >= maxMembers) return false
      if (repeatable) return true
      if (groups.size > 1 || fact.place === 'operand' || (!fact.aligned && fact.reads > 1)) return false
      if (isLoop(equation)) return group.anchor === null && fact.aligned && maySkip(equation, group)
      return result(equation).aval.size >= group.turns(fact.place)
    }
    if (!isStored && [...groups].every(joins)) {
      for (const group of groups) group.add(equation, facts.get(group)!)
      groupsOf.set(equation, groups)
    } else {
      const group = new OpenGroup(equation)
      roots.set(equation, group)
      groupsOf.set(equation, new Set([group]))
    }
  }
  return graph.equations.flatMap((equation) => roots.get(equation) ?? [])
}

/** Whether a loop is still skipped inside `group` when its guard is false. */
const maySkip = ({ guard }: Equation, { root }: Group): boolean => guard === undefined || guard === root.guard

/** How `equation` would be read inside `group`; null if at places that exclude each other. */
function factsIn(group: OpenGroup, equation: Equation, consumers: readonly Equation[]): Member | null {
  const inside = consumers.filter((consumer) => group.facts.has(consumer))
  if (inside.some(isAlone)) return null
  const reads = inside.map((consumer): Member => {
    const { place, aligned, reads } = group.facts.get(consumer)!
    const { lower } = consumer.primitive
    if (lower.kind === 'reduce') return { place: 'turn', aligned: false, reads }
    if (lower.kind === 'contract' || lower.kind === 'pairs')
      return { place: 'operand', aligned: false, reads }
    const keepsPlace = lower.kind === 'map' || (lower.kind === 'view' && lower.keepsOrder === true)
    const often = lower.kind === 'view' && lower.searches === true
    const times = often ? Infinity : consumer.inputs.filter((input) => input === result(equation)).length
    return { place, aligned: aligned && keepsPlace, reads: keepsPlace ? reads : reads * times }
  })
  const [first] = reads
  if (first === undefined || reads.some(({ place }) => place !== first.place)) return null
  const aligned = reads.every((read) => read.aligned)
  const sameIndex = aligned || reads.length === 1
  return {
    place: first.place,
    aligned,
    reads: sameIndex ? first.reads : reads.reduce((sum, read) => sum + read.reads, 0),
  }
}

/** Equations that read no array, such as a mask made of places: each kernel computes its own. */
function weightlessEquations(graph: Graph, producers: ReadonlyMap<Var, Equation>): Set<Equation> {
  const weightless = new Set<Equation>()
  for (const equation of graph.equations) {
    const light = variables(equation).every((input) => {
      const producer = producers.get(input)
      return producer !== undefined && weightless.has(producer)
    })
    if (light && !isLoop(equation) && !isPairs(equation) && !isAlone(equation)) weightless.add(equation)
  }
  return weightless
}
