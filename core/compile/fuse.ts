// Which equations run together. Walking from the results back, an equation joins the kernel that reads it if it can be
// computed there once, in place; what others read too is stored there on the way. Movement without work joins every reader,
// and kernels over the same loops that read the same arrays become one.

import { type Atom, type Equation, type Graph, Var } from '../graph.ts'
import type { Primitive } from '../primitive.ts'
import { type Fold, foldOf, gridOf, isLong, type Relation, relationsOf, turnsOf } from './loops.ts'

/** Equations that one kernel computes. */
export interface Group {
  /** The last of them; its guard is the guard of all that is stored. */
  readonly root: Equation
  /** The last one first. */
  readonly members: ReadonlySet<Equation>
  /** The results that are stored: those with one element a row first, if the kernel goes along rows. */
  readonly outputs: readonly Var[]
  /** The reductions or products whose loops the kernel has, in order; what reads them here is their epilogue. */
  readonly anchors: readonly Equation[]
  /** The rows that its reductions go along. */
  readonly rows: { readonly size: number; readonly turns: number } | null
  /** Its products are also read at the partners of their elements, in halves of so many. */
  readonly half: number | null
}

/** Where in a kernel an equation is evaluated: once a cell, once a row of cells, or as an operand of a product. */
type Level = 'cell' | 'row' | 'operand'

interface Member {
  readonly level: Level
  /** Read only at the flat place of the cell, or of the row, that the kernel is at. */
  readonly aligned: boolean
  /** Read there, or at the partner of it in halves of so many. */
  readonly half: number | null
  /** In how many ways, that may differ in index, it is read. */
  readonly reads: number
  /** At the level of rows: how many cells each has. */
  readonly turns: number | null
}

/** The loops of a kernel: so many cells; or so many rows, of `turns` cells each. */
interface Space {
  readonly size: number
  readonly turns: number | null
  /** Tells apart loops that lie differently: the grid of a product, a reduction of others than neighbours. */
  readonly kind: string
  /** Rows are shared out among threads. */
  readonly long: boolean
}

/** Rows are of neighbours. */
const inOrder = ''

const variables = (equation: Equation): Var[] => equation.inputs.filter((input) => input instanceof Var)
const sizeOfResult = (equation: Equation): number => equation.outputs[0]?.aval.size ?? 0

/** Whether an equation runs by itself: it holds a program, or the host does it. */
export const runsAlone = ({ lower }: Primitive): boolean => lower.kind === 'loop' || lower.kind === 'host'
const isAlone = ({ primitive }: Equation): boolean => runsAlone(primitive)
/** Whether an equation has kernels of its own, in which nothing but its operands is computed. */
const hasOwnKernels = ({ primitive: { lower } }: Equation): boolean =>
  lower.kind === 'pairs' || lower.kind === 'scatter'
const isProduct = ({ primitive }: Equation): boolean => primitive.lower.kind === 'contract'
const isReduction = (equation: Equation): boolean => turnsOf(equation) !== null

/** A group that equations still join. */
class OpenGroup {
  readonly members = new Map<Equation, Member>()
  readonly anchors = new Set<Equation>()
  readonly outputs = new Set<Var>()
  /** What it reads and does not make. */
  readonly external = new Set<Var>()
  readonly #made = new Set<Var>()
  readonly root: Equation
  space: Space
  half: number | null = null
  /** Its place in an order in which the groups can run. */
  rank: number

  constructor(root: Equation, rank: number) {
    this.root = root
    this.rank = rank
    this.space = { size: sizeOfResult(root), turns: null, kind: inOrder, long: false }
    for (const output of root.outputs) this.outputs.add(output)
  }

  get isFlat(): boolean {
    return this.space.turns === null && this.space.kind === inOrder
  }

  /** How often what is at a level is evaluated. */
  often(level: Level): number {
    const { size, turns } = this.space
    return level === 'cell' ? size * (turns ?? 1) : size
  }

  /** Whether the kernel binds at most so many arrays with an equation inside, which may be stored. */
  fits(equation: Equation, stored: boolean, maxArrays: number): boolean {
    const { inputs, outputs } = equation
    const most = this.outputs.size + this.external.size + inputs.length + outputs.length + 1
    if (most <= maxArrays) return true
    let width = this.outputs.size + this.external.size + (this.root.guard ? 1 : 0)
    for (const output of outputs) {
      if (stored && !this.outputs.has(output)) width++
      if (this.external.has(output)) width--
    }
    for (const input of new Set(variables(equation)))
      if (!this.external.has(input) && !this.#made.has(input)) width++
    return width <= maxArrays
  }

  /** Whether the kernel binds at most so many arrays with everything of another inside. */
  fitsWith(other: OpenGroup, maxArrays: number): boolean {
    let width = this.outputs.size + (this.root.guard ? 1 : 0)
    for (const output of other.outputs) if (!this.outputs.has(output)) width++
    for (const input of this.external) if (!other.#made.has(input)) width++
    for (const input of other.external) if (!this.external.has(input) && !this.#made.has(input)) width++
    return width <= maxArrays
  }

  add(equation: Equation, fact: Member): void {
    this.members.set(equation, fact)
    for (const output of equation.outputs) {
      this.external.delete(output)
      this.#made.add(output)
    }
    for (const input of variables(equation)) if (!this.#made.has(input)) this.external.add(input)
  }

  /** The cells become rows of so many cells each. */
  split(fold: Fold, long: boolean): void {
    this.#adopt({ size: this.space.size, turns: fold.turns, kind: fold.kind, long }, true)
  }

  /** The cells that are there are those of rows. */
  join(turns: number): void {
    this.#adopt({ size: this.space.size / turns, turns, kind: inOrder, long: false }, false)
  }

  /** Takes over everything from a group over the same loops. */
  absorb(other: OpenGroup): void {
    const [flat, space] = this.isFlat ? [this, other.space] : [other, this.space]
    if (flat.isFlat)
      flat.#adopt(space, space.turns !== null && space.turns !== 1 && flat.space.size === space.size)
    for (const [equation, fact] of other.members) {
      const known = this.members.get(equation)
      this.add(equation, known ? both(known, fact) : fact)
    }
    this.half ??= other.half
    for (const anchor of other.anchors) this.anchors.add(anchor)
    for (const output of other.outputs) this.outputs.add(output)
  }

  /** Gives a flat group other loops; its cells are theirs, or become their rows. */
  #adopt(space: Space, asRows: boolean): void {
    for (const [equation, fact] of this.members) {
      const isCell = fact.level === 'cell'
      const aligned = fact.aligned && (isCell || (!asRows && fact.turns === space.turns))
      if (asRows)
        this.members.set(equation, { ...fact, level: 'row', aligned, half: null, turns: space.turns })
      else this.members.set(equation, { ...fact, aligned })
    }
    this.space = space
  }
}

/** What is known of an equation that two parts of a group do again. */
function both(one: Member, other: Member): Member {
  if (one.level !== other.level || one.turns !== other.turns)
    return { level: 'operand', aligned: false, half: null, reads: Number.POSITIVE_INFINITY, turns: null }
  return together([one, other])
}

/** How something is read that is read in these ways, all at one level. */
function together(ways: readonly Member[]): Member {
  const { level, turns } = ways[0]!
  const aligned = ways.every((way) => way.aligned)
  const half = ways.find((way) => !way.aligned)?.half ?? null
  return {
    level,
    turns,
    aligned,
    half: ways.every((way) => way.aligned || way.half === half) ? half : null,
    reads: aligned ? 1 : ways.reduce((sum, { reads }) => sum + reads, 0),
  }
}

/** Longer chains are cut: a kernel should stay readable, and spelling one out recurses. */
const maxMembers = 256

/** Element-wise work of more equations one after the other is not done again. */
const maxAgain = 4

/** Products that one kernel computes, at most. */
const maxSums = 8

/** Folds and products over fewer cells are worth doing together only to have fewer kernels. */
const smallLoops = 2 ** 14

/** Groups that are looked at to find out whether one needs another; where there are more, it may. */
const maxBetween = 48

/** Kernels so far apart are left apart, or what they read would have to be kept long. */
const near = 32

/** Splits a graph into kernels that bind at most `maxArrays` arrays each, in an order in which they can run. */
export function fuse(graph: Graph, maxArrays: number): Group[] {
  return new Fusion(graph, maxArrays).groups()
}

class Fusion {
  readonly #maxArrays: number
  readonly #equations: readonly Equation[]
  readonly #positions = new Map<Equation, number>()
  readonly #producers = new Map<Var, Equation>()
  readonly #readers = new Map<Equation, Set<Equation>>()
  /** What runs only if a result of an equation is true. */
  readonly #guarded = new Map<Equation, Set<Equation>>()
  readonly #stored: Set<Atom>
  readonly #relations = new Map<string, readonly Relation[]>()
  readonly #folds = new Map<string, Fold>()
  /** Equations that read no array, such as a mask made of places: each kernel computes its own. */
  readonly #weightless = new Set<Equation>()
  /** What folds rows of so many elements, and element-wise work on it. */
  readonly #foldTurns = new Map<Equation, number>()
  /** Element-wise work that only a product of its own leads to, by the grid of the product. */
  readonly #epilogues = new Map<Equation, string>()
  /** The groups that an equation is in: several for what each reader does again. */
  readonly #homes = new Map<Equation, Set<OpenGroup>>()
  readonly #open = new Set<OpenGroup>()
  #started = 0

  constructor({ equations, outputs }: Graph, maxArrays: number) {
    this.#maxArrays = maxArrays
    this.#equations = equations
    this.#stored = new Set<Atom>(outputs)
    for (const [k, equation] of equations.entries()) {
      this.#positions.set(equation, k)
      this.#readers.set(equation, new Set())
      for (const output of equation.outputs) this.#producers.set(output, equation)
      this.#guarded.set(equation, new Set())
      if (equation.guard !== undefined) {
        this.#stored.add(equation.guard)
        const chooser = this.#producers.get(equation.guard)
        if (chooser !== undefined) this.#guarded.get(chooser)!.add(equation)
      }
      for (const input of variables(equation)) {
        const producer = this.#producers.get(input)
        if (producer !== undefined) this.#readers.get(producer)!.add(equation)
      }
    }
    for (const equation of equations) this.#look(equation)
  }

  /** Notes what is known of an equation from what leads to it. */
  #look(equation: Equation): void {
    const { lower } = equation.primitive
    const producers = variables(equation).map((input) => this.#producers.get(input))
    if (isProduct(equation)) this.#epilogues.set(equation, gridOf(equation))
    else if (isReduction(equation)) {
      const { turns, kind } = foldOf(equation, this.#folds)
      if (kind === inOrder && !isLong(sizeOfResult(equation), turns)) this.#foldTurns.set(equation, turns)
    } else if (!isAlone(equation) && !hasOwnKernels(equation)) {
      if (producers.every((producer) => producer !== undefined && this.#weightless.has(producer)))
        this.#weightless.add(equation)
      if (lower.kind === 'branches' || lower.kind === 'inline') return
      for (const [k, relation] of relationsOf(equation, this.#relations).entries()) {
        const input = equation.inputs[k]!
        const producer = input instanceof Var ? this.#producers.get(input) : undefined
        if (relation !== 'same' || producer === undefined) continue
        const turns = this.#foldTurns.get(producer)
        if (turns !== undefined) this.#foldTurns.set(equation, turns)
        const grid = this.#epilogues.get(producer)
        const isOnly = this.#readers.get(producer)!.size === 1 && !this.#isStored(producer)
        if (grid !== undefined && isOnly) this.#epilogues.set(equation, grid)
      }
    }
  }

  groups(): Group[] {
    for (const equation of this.#equations.toReversed()) this.#place(equation)
    this.#shareLoops()
    return [...this.#open].sort((a, b) => a.rank - b.rank).map((group) => this.#close(group))
  }

  #isStored(equation: Equation): boolean {
    return isAlone(equation) || equation.outputs.some((output) => this.#stored.has(output))
  }

  #groupsReading(equation: Equation): Set<OpenGroup> {
    const groups = new Set<OpenGroup>()
    for (const reader of this.#readers.get(equation)!)
      for (const group of this.#homes.get(reader) ?? []) groups.add(group)
    return groups
  }

  /** Calls `f` with the groups that wait for an equation: those that read it, and those that it guards; some more than once. */
  #eachWaiting(equation: Equation, f: (group: OpenGroup) => void): void {
    for (const reader of this.#readers.get(equation)!)
      for (const group of this.#homes.get(reader) ?? []) f(group)
    for (const guarded of this.#guarded.get(equation)!)
      for (const group of this.#homes.get(guarded) ?? [])
        if (group.root.guard && equation.outputs.includes(group.root.guard)) f(group)
  }

  /** Finds an equation its kernel, or kernels. */
  #place(equation: Equation): void {
    const groups = this.#hosts(equation)
    if (groups.length === 0) this.#start(equation)
    else this.#join(groups, equation)
  }

  /** The kernels that an equation joins; what they do not all have at hand is stored by one of them. */
  #hosts(equation: Equation): readonly OpenGroup[] {
    const { lower } = equation.primitive
    if (isAlone(equation) || hasOwnKernels(equation)) return []
    const stored = this.#isStored(equation)
    const groups = [...this.#groupsReading(equation)]
    const repeatable = (lower.kind === 'view' && lower.free) || this.#weightless.has(equation)
    if (repeatable && !stored && groups.every((group) => this.#factFitting(group, equation, false)))
      return groups
    const places = groups.filter((group) => this.#mayJoin(group, equation, stored || groups.length > 1))
    if (!stored && groups.length === 1) return places
    if (!stored && groups.length === places.length) {
      const [only, ...others] = groups as [OpenGroup, ...OpenGroup[]]
      const merged = others.filter((other) => this.#mayMerge(only, other) && this.#merge(only, other))
      if (merged.length > 0) return this.#hosts(equation)
    }
    const others = stored ? groups : groups.filter((group) => !this.#isAtHand(group, equation))
    if (
      others.length < groups.length &&
      others.length <= 1 &&
      others.every((group) => places.includes(group))
    )
      return groups
    let first = Number.POSITIVE_INFINITY
    this.#eachWaiting(equation, ({ rank }) => {
      first = Math.min(first, rank)
    })
    const host = places.find(({ rank }) => rank === first) // the others can wait for it
    if (host === undefined) return []
    for (const output of equation.outputs) host.outputs.add(output)
    return [host]
  }

  #start(equation: Equation): void {
    const group = new OpenGroup(equation, -this.#started++)
    this.#open.add(group)
    this.#homes.set(equation, new Set())
    this.#enter(group, equation, { level: 'cell', aligned: true, half: null, reads: 1, turns: null })
  }

  #join(groups: readonly OpenGroup[], equation: Equation): void {
    const facts = groups.map((group) => this.#factIn(group, equation)!)
    this.#homes.set(equation, new Set())
    for (const [k, group] of groups.entries()) this.#enter(group, equation, facts[k]!)
  }

  #enter(group: OpenGroup, equation: Equation, fact: Member): void {
    this.#homes.get(equation)!.add(group)
    if (isProduct(equation)) {
      group.anchors.add(equation)
      group.half ??= fact.half
      group.space = { ...group.space, kind: gridOf(equation) }
    } else if (isReduction(equation)) {
      group.anchors.add(equation)
      const fold = foldOf(equation, this.#folds)
      if (group.isFlat && fact.level === 'cell') group.split(fold, isLong(sizeOfResult(equation), fold.turns))
      else if (group.isFlat) group.join(fold.turns)
      group.add(equation, { ...fact, level: 'row', turns: fold.turns })
      return
    } else if (group.isFlat && fact.level === 'row' && fact.aligned && this.#foldTurns.has(equation))
      group.join(fact.turns!)
    group.add(equation, fact)
  }

  /** How `equation` would be read inside `group`; null if at places that exclude each other. */
  #factIn(group: OpenGroup, equation: Equation): Member | null {
    const facts: Member[] = []
    for (const reader of this.#readers.get(equation)!) {
      const fact = group.members.get(reader)
      if (fact === undefined) continue
      if (isAlone(reader)) return null
      for (const [k, relation] of this.#relationsOf(reader).entries())
        if (equation.outputs.includes(reader.inputs[k] as Var))
          facts.push(this.#through(group, reader, fact, relation))
    }
    const [first] = facts
    if (
      first === undefined ||
      facts.some(({ level, turns }) => level !== first.level || turns !== first.turns)
    )
      return null
    return together(facts)
  }

  #relationsOf(reader: Equation): readonly Relation[] {
    return relationsOf(reader, this.#relations)
  }

  /** How an input is read by a member of which this is known. */
  #through(group: OpenGroup, reader: Equation, fact: Member, relation: Relation): Member {
    const { lower } = reader.primitive
    if (lower.kind === 'contract' || hasOwnKernels(reader))
      return { level: 'operand', aligned: false, half: null, reads: fact.reads, turns: null }
    if (isReduction(reader)) return { level: 'cell', aligned: true, half: null, reads: 1, turns: null }
    const often = lower.kind === 'view' && lower.searches === true ? Infinity : 1
    if (relation === 'same') return { ...fact, reads: fact.reads * often }
    if (typeof relation === 'number' && fact.level === 'cell' && fact.aligned) {
      const { turns, kind, size } = group.space
      const fits = kind === inOrder && (turns === null ? size % relation === 0 : turns === relation)
      if (fits) return { level: 'row', aligned: true, half: null, reads: 1, turns: relation }
    }
    const half = typeof relation === 'object' && fact.level === 'cell' ? relation.half : null
    return {
      ...fact,
      aligned: false,
      half: fact.aligned || fact.half === half ? half : null,
      reads: fact.reads * often,
    }
  }

  /** How an equation would be read in a kernel that has room for it, or null. */
  #factFitting(group: OpenGroup, equation: Equation, stored: boolean): Member | null {
    if (group.members.size >= maxMembers) return null
    if (!group.fits(equation, stored, this.#maxArrays)) return null
    return this.#factIn(group, equation)
  }

  /** Whether a group has only to compute element-wise work again that it would otherwise read: it reads what leads to it anyway. */
  #isAtHand(group: OpenGroup, equation: Equation): boolean {
    const leads = (input: Var, depth: number): boolean => {
      if (group.external.has(input)) return true
      const producer = this.#producers.get(input)
      if (producer === undefined || depth === 0) return false
      return group.members.has(producer) || isMadeOf(producer, depth)
    }
    const isMadeOf = (equation: Equation, depth: number): boolean =>
      equation.primitive.lower.kind === 'map' && variables(equation).every((input) => leads(input, depth - 1))
    if (!isMadeOf(equation, maxAgain)) return false
    const fact = this.#factFitting(group, equation, false)
    return fact !== null && fact.level === 'cell' && fact.aligned
  }

  /** Whether `equation` can be computed in `group` once, and stored there. */
  #mayJoin(group: OpenGroup, equation: Equation, stored: boolean): boolean {
    const fact = isAlone(group.root) ? null : this.#factFitting(group, equation, stored)
    if (fact === null) return false
    const { level, aligned, reads, turns } = fact
    const { space } = group
    if (level === 'operand') return false
    const size = sizeOfResult(equation)
    const grid = this.#epilogues.get(equation)
    if (grid !== undefined && !group.isFlat && space.kind !== grid) return false
    if (stored) {
      const isFound =
        level === 'row' || isReduction(equation) || (!space.long && !space.kind.startsWith('fold'))
      if (!aligned || !isFound || equation.guard !== group.root.guard) return false
    }
    const swaps = this.#maySwap(group, equation, fact) && !stored
    if (isProduct(equation) || isReduction(equation)) {
      if (!(aligned || swaps) || !maySkip(equation, group)) return false
      if (isProduct(equation)) return level === 'cell' && (group.isFlat || group.anchors.size < maxSums)
      const fold = foldOf(equation, this.#folds)
      const long = isLong(size, fold.turns)
      if (level === 'cell') return group.isFlat
      if (long || space.long || fold.turns !== (space.turns ?? turns)) return false
      return fold.kind === space.kind
    }
    if (!aligned) return (swaps || reads === 1) && size >= group.often(level)
    if (level === 'cell') return size >= group.often(level)
    return space.turns !== null || this.#foldTurns.get(equation) === turns
  }

  /** Whether a product, or what only a product leads to, can be there for a cell and its partner: both are in one tile then. */
  #maySwap(group: OpenGroup, equation: Equation, { level, half }: Member): boolean {
    if (half === null || level !== 'cell' || !this.#epilogues.has(equation)) return false
    const columns = equation.outputs[0]!.aval.shape.at(-1)!
    return half % 4 === 0 && columns % (2 * half) === 0 && (group.half ?? half) === half
  }

  /** Whether two groups can be one: over the same loops, and neither waits for the other. */
  #mayMerge(one: OpenGroup, other: OpenGroup): boolean {
    if ([one, other].some(({ root }) => isAlone(root) || hasOwnKernels(root))) return false
    if (one.root.guard !== other.root.guard) return false
    if (one.half !== null && other.half !== null && one.half !== other.half) return false
    if (one.members.size + other.members.size > maxMembers) return false
    if (!haveSameLoops(one, other) || one.anchors.size + other.anchors.size > maxSums) return false
    if (!one.fitsWith(other, this.#maxArrays)) return false
    const [a, b] = one.rank < other.rank ? [one, other] : [other, one]
    const found = this.#after(a, b.rank, maxBetween)
    return found.size < maxBetween && !found.has(b)
  }

  /** Makes `other` part of `group`. What waits for either now waits for both, so some of the groups between them move. */
  #merge(group: OpenGroup, other: OpenGroup): true {
    const [a, b] = group.rank < other.rank ? [group, other] : [other, group]
    const byRank = (groups: Iterable<OpenGroup>): OpenGroup[] => [...groups].sort((a, b) => a.rank - b.rank)
    const [before, after] = [byRank(this.#before(b, a.rank)), byRank(this.#after(a, b.rank))]
    const ranks = [a, b, ...before, ...after].map(({ rank }) => rank).sort((a, b) => a - b)
    for (const [k, moved] of [...before, group, ...after].entries()) moved.rank = ranks[k]!
    group.absorb(other)
    this.#open.delete(other)
    for (const equation of other.members.keys()) {
      const homes = this.#homes.get(equation)!
      homes.delete(other)
      homes.add(group)
    }
    return true
  }

  /** The groups of no higher rank than `last` that wait, by way of whatever, for `group`; so many of them at most. */
  #after(group: OpenGroup, last: number, most = Number.POSITIVE_INFINITY): Set<OpenGroup> {
    const found = new Set<OpenGroup>()
    const waiting = [group]
    const take = (next: OpenGroup): void => {
      if (next === group || next.rank > last || found.has(next)) return
      found.add(next)
      waiting.push(next)
    }
    for (let next = waiting.pop(); next !== undefined && found.size < most; next = waiting.pop())
      for (const output of next.outputs) this.#eachWaiting(this.#producers.get(output)!, take)
    return found
  }

  /** The groups of no lower rank than `first` that `group` waits for, by way of whatever. */
  #before(group: OpenGroup, first: number): Set<OpenGroup> {
    const found = new Set<OpenGroup>()
    const waiting = [group]
    const take = (input: Var): void => {
      const producer = this.#producers.get(input)
      for (const home of (producer && this.#homes.get(producer)) ?? []) {
        if (home === group || home.rank < first || found.has(home) || !home.outputs.has(input)) continue
        found.add(home)
        waiting.push(home)
      }
    }
    for (let next = waiting.pop(); next !== undefined; next = waiting.pop()) {
      for (const input of next.external) take(input)
      if (next.root.guard) take(next.root.guard)
    }
    return found
  }

  /** Kernels over the same loops that run about the same time become one, if they read an array in common or are small. */
  #shareLoops(): void {
    const alike = new Map<string, OpenGroup[]>()
    for (const group of [...this.#open].sort((a, b) => a.rank - b.rank)) {
      const { size, turns, kind } = group.space
      const key = `${size} ${turns} ${kind}`
      alike.set(key, [...(alike.get(key) ?? []), group])
    }
    for (const groups of alike.values())
      for (const [k, group] of groups.entries())
        for (const other of groups.slice(k + 1)) {
          if (!this.#open.has(group) || other.rank - group.rank > near) break
          const isSmall = group.anchors.size > 0 && group.space.size > 1 && group.often('cell') <= smallLoops
          if (!this.#open.has(other) || !(isSmall || readAlike(group, other))) continue
          if (this.#mayMerge(group, other)) this.#merge(group, other)
        }
  }

  #close(group: OpenGroup): Group {
    const position = (equation: Equation): number => this.#positions.get(equation)!
    const members = [...group.members.keys()].sort((a, b) => position(b) - position(a))
    const outputs = [...group.outputs].sort(
      (a, b) => position(this.#producers.get(a)!) - position(this.#producers.get(b)!),
    )
    const { size, turns } = group.space
    return {
      root: group.root,
      members: new Set(members),
      outputs: outputs.sort((a, b) => (turns === null ? 0 : a.aval.size - b.aval.size)),
      anchors: [...group.anchors].sort((a, b) => position(a) - position(b)),
      rows: turns === null ? null : { size, turns },
      half: group.half,
    }
  }
}

const readAlike = (one: OpenGroup, other: OpenGroup): boolean =>
  [...one.external].some((input) => input.aval.size > 1 && other.external.has(input))

/** Whether a loop is still skipped inside `group` when its guard is false. */
const maySkip = ({ guard }: Equation, { root }: OpenGroup): boolean =>
  guard === undefined || guard === root.guard

function haveSameLoops(one: OpenGroup, other: OpenGroup): boolean {
  const [a, b] = [one.space, other.space]
  if (one.isFlat && other.isFlat) return a.size === b.size
  if (!one.isFlat && !other.isFlat)
    return a.size === b.size && a.turns === b.turns && a.kind === b.kind && !a.long && !b.long
  const [flat, loops] = one.isFlat ? [one, other] : [other, one]
  const { size, turns, long, kind } = loops.space
  if (flat.space.size === size) return true
  return turns !== null && !long && kind === inOrder && flat.space.size === size * turns
}
