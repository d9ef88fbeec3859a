// Packs: arrays that lie side by side in one buffer, so that one kernel does for all of them what one kernel each would do
// alone. What an optimiser does with hundreds of small parameters becomes a few dispatches, whatever their number.

import { type Affine, loop, whole } from '../affine.ts'
import { isHalf } from '../dtype.ts'
import { Var } from '../graph.ts'
import type { Scalar } from '../scalar.ts'
import * as scalar from '../scalar.ts'
import { Aval } from '../shape.ts'
import type { Kernel } from './kernels.ts'

/** A kernel, and the arrays that it reads and writes in the place of its own. */
export interface Use {
  readonly kernel: Kernel
  readonly reads: readonly Var[]
  readonly writes: readonly Var[]
}

/** Arrays of a program side by side. */
export interface Pack {
  readonly kind: Kind
  readonly whole: Var
  readonly parts: readonly Var[]
}

/** Uses of the same kernel but for sizes, and the arrays in which it reads and writes. */
export interface Family {
  readonly uses: readonly Use[]
  /** The use whose elements tell what is computed. */
  readonly model: Use
  /** For each input of the model, the pack it is in, or the array that all share. */
  readonly inputs: readonly (Pack | Var)[]
  /** For each output. Results of folds are in no pack. */
  readonly outputs: readonly Pack[]
}

/** Whose memory an array is: what it may share a pack with. */
type Kind = 'input' | 'output' | 'slot'

/** Fewer are not worth a kernel of their own. */
export const fewMembers = 4

/** Larger arrays are worth a kernel each; and what a pack may be, which every adapter can bind. */
const largestPart = 2 ** 22
const largestPack = 2 ** 26

/** A part begins at a multiple of so many words, as bindings have to. */
export const granule = 64

/** Words that an array takes in a pack. */
export const roomOf = ({ aval }: Var): number => Math.ceil(aval.size / granule) * granule

/** What a kernel computes at each place, if that is the same at all places: as text, and which inputs are read at the place. */
interface Pattern {
  readonly text: string
  readonly size: number
  /** Not known of an array of one element, whose only place is the first. */
  readonly placed?: readonly boolean[]
}

/** Scalar expressions as text; null if they depend on more than the elements at `place` and at 0. */
function textOf(elements: readonly Scalar[], place: Affine, placed: Map<number, boolean>): string | null {
  const lines: string[] = []
  const numbers = new Map<string, number>()
  let fits = true
  const show = (element: Scalar): string => {
    switch (element.kind) {
      case 'constant':
        return `${Object.is(element.value, -0) ? '-0' : element.value}:${element.dtype}`
      case 'load': {
        const { input, offset, stored } = element
        const atPlace = offset.key === place.key
        if (isHalf(stored) || (!atPlace && offset.key !== whole(0).key)) fits = false
        if ((placed.get(input) ?? atPlace) !== atPlace) fits = false
        placed.set(input, atPlace)
        return `in${input}:${stored}`
      }
      case 'apply':
        return `${element.op}:${element.dtype} ${element.args.map(visit)}`
      case 'position':
        fits = false
        return ''
      case 'reduced':
        return 'reduced'
    }
  }
  const visit = (element: Scalar): number => {
    const known = numbers.get(element.key)
    if (known !== undefined) return known
    lines.push(show(element))
    numbers.set(element.key, lines.length)
    return lines.length
  }
  const results = elements.map(visit)
  return fits ? `${lines.join('\n')}\n${results}` : null
}

/** Whether two numbers are combined to the same by two functions of them. */
export function areSame(f: (a: Scalar, b: Scalar) => Scalar, g: (a: Scalar, b: Scalar) => Scalar): boolean {
  const [a, b] = [scalar.load(0, whole(0), 'f32'), scalar.load(1, whole(0), 'f32')]
  const [first, second] = [f, g].map((h) => textOf([h(a, b)], whole(0), new Map()))
  return first !== null && first === second
}

/** What a kernel that may join a family computes at a place. */
export function elementsAt({ nest }: Kernel, place: Affine): readonly Scalar[] {
  if (nest.kind === 'map') return nest.element(place)
  return nest.kind === 'reduce' ? [nest.folds[0]!.element(whole(0), place, [])] : []
}

function patternOf(kernel: Kernel, size: number): Pattern | null {
  const { nest, guard, outputs } = kernel
  if (
    guard !== null ||
    outputs.some(({ variable, start }) => isHalf(variable.aval.dtype) || start.terms.length > 0)
  )
    return null
  if (nest.kind !== 'map' && nest.kind !== 'reduce') return null
  let head = outputs.map(({ variable }) => variable.aval.dtype).join()
  if (nest.kind === 'reduce') {
    const result = scalar.reduced('f32')
    const [fold, ...others] = nest.folds
    if (nest.size !== 1 || others.length > 0 || outputs.length !== 1) return null
    if (nest.finish(whole(0), [result])[0] !== result) return null
    const combined = fold!.combine(scalar.load(0, whole(0), 'f32'), scalar.load(1, whole(0), 'f32'))
    head = `${head} fold ${textOf([combined, fold!.identity], whole(0), new Map())}`
  }
  const place = loop('i', size)
  const placed = new Map<number, boolean>()
  const text = textOf(elementsAt(kernel, place), place, placed)
  if (text === null) return null
  const pattern = { text: `${head}\n${text}`, size }
  return size === 1 ? pattern : { ...pattern, placed: kernel.inputs.map((_, k) => placed.get(k)!) }
}

/** The elements that a use works on: those of its results, or those that it folds into one. */
const sizeOfUse = ({ nest, outputs }: Kernel): number =>
  nest.kind === 'reduce' ? nest.turns : outputs[0]!.variable.aval.size

interface Candidate {
  readonly use: Use
  readonly key: string
  /** The arrays that are accessed at the place. */
  readonly columns: readonly Var[]
  readonly placed: readonly boolean[]
  readonly size: number
}

/**
 * Finds what may share kernels among uses in the order in which they run. `foldOf` tells which wide fold a use is part of, and
 * is null of others; no other folds are in families. Families that share packs come together.
 */
export function familiesOf(
  uses: readonly Use[],
  kindOf: (variable: Var) => Kind | null,
  foldOf: (use: Use) => object | null,
): Family[][] {
  const patterns = new Map<Kernel, Pattern | null>()
  const byText = new Map<string, { readonly use: Use; readonly pattern: Pattern }[]>()
  for (const use of uses) {
    const { kernel } = use
    const size = sizeOfUse(kernel)
    if (4 * size > largestPart || (kernel.nest.kind === 'reduce' && foldOf(use) === null)) continue
    if (!patterns.has(kernel)) patterns.set(kernel, patternOf(kernel, size))
    const pattern = patterns.get(kernel)
    if (!pattern) continue
    const { text } = pattern
    byText.set(text, [...(byText.get(text) ?? []), { use, pattern }])
  }
  const numbers = new Map<object, number>()
  const numberOf = (thing: object): number => {
    if (!numbers.has(thing)) numbers.set(thing, numbers.size)
    return numbers.get(thing)!
  }
  const candidates = [...byText.values()].flatMap((alike, family): Candidate[] => {
    const likely = alike.find(({ pattern }) => pattern.placed !== undefined)?.pattern.placed
    if (!likely || alike.length < fewMembers) return []
    return alike.flatMap(({ use, pattern: { size, placed = likely } }): Candidate[] => {
      const at = use.reads.filter((_, k) => placed[k])
      const shared = use.reads.filter((_, k) => !placed[k])
      const columns = use.kernel.nest.kind === 'map' ? [...at, ...use.writes] : at
      const kinds = columns.map(kindOf)
      if (kinds.includes(null) || columns.some(({ aval }) => aval.size !== size)) return []
      return [
        {
          use,
          key: [family, numberOf(foldOf(use) ?? kindOf), placed, shared.map(numberOf), kinds].join(';'),
          columns,
          placed,
          size,
        },
      ]
    })
  })
  return classesOf(candidates).flatMap((leaves) => chunksOf(leaves).map((chunk) => familiesIn(chunk, kindOf)))
}

/** What is done with a leaf: uses that are connected by arrays, in an order that depends on what they are. */
interface LeafUses {
  readonly uses: readonly Candidate[]
  readonly variables: readonly Var[]
}

/** Leaves with which the same is done. */
function classesOf(candidates: readonly Candidate[]): LeafUses[][] {
  const leafOf = new Map<Var, Candidate[]>()
  for (const candidate of candidates) {
    const parts = new Set(candidate.columns.flatMap((column) => [leafOf.get(column) ?? []]))
    const joined = [...[...parts].flat(), candidate]
    for (const { columns } of joined) for (const column of columns) leafOf.set(column, joined)
  }
  const classes = new Map<string, LeafUses[]>()
  for (const leaf of new Set(leafOf.values())) {
    const uses = leaf.toSorted((a, b) => (a.key < b.key ? -1 : a.key > b.key ? 1 : 0))
    const variables = [...new Set(uses.flatMap(({ columns }) => columns))]
    const text = uses.map(
      ({ key, columns }) => `${key}:${columns.map((column) => variables.indexOf(column))}`,
    )
    const signature = text.join('\n')
    classes.set(signature, [...(classes.get(signature) ?? []), { uses, variables }])
  }
  return [...classes.values()]
}

/** Leaves in lots that fit packs. */
function chunksOf(leaves: readonly LeafUses[]): LeafUses[][] {
  const chunks: LeafUses[][] = [[]]
  let bytes = 0
  for (const leaf of leaves) {
    const own = 4 * roomOf(leaf.variables[0]!)
    if (bytes + own > largestPack) {
      chunks.push([])
      bytes = 0
    }
    bytes += own
    chunks.at(-1)!.push(leaf)
  }
  return chunks
}

function familiesIn(leaves: readonly LeafUses[], kindOf: (variable: Var) => Kind | null): Family[] {
  const [first] = leaves
  if (first === undefined || leaves.length < fewMembers) return []
  // Arrays in between live longer in a pack, so only work on what outlives the program is worth it.
  if (first.variables.every((variable) => kindOf(variable) === 'slot')) return []
  const total = leaves.reduce((sum, { variables }) => sum + roomOf(variables[0]!), 0)
  const packs = new Map(
    first.variables.map((variable, k) => [
      variable,
      {
        kind: kindOf(variable)!,
        whole: new Var(new Aval([total], variable.aval.dtype)),
        parts: leaves.map(({ variables }) => variables[k]!),
      },
    ]),
  )
  const large = leaves.find(({ uses: [use] }) => use!.size > 1)
  if (large === undefined) return []
  if (large.uses.some(({ use }) => patternOf(use.kernel, total) === null)) return []
  return first.uses.map(({ use, placed }, k): Family => {
    const model = large.uses[k]!.use
    return {
      uses: leaves.map(({ uses }) => uses[k]!.use),
      model,
      inputs: use.reads.map((variable, k) => (placed[k] ? packs.get(variable)! : variable)),
      outputs: use.kernel.nest.kind === 'map' ? use.writes.map((variable) => packs.get(variable)!) : [],
    }
  })
}

/** The kernel of a family of maps. What lies between the parts is computed too, and read by nobody. */
export function packedMap({ model: { kernel }, inputs, outputs }: Family): Kernel {
  const size = outputs[0]!.whole.aval.size
  return {
    name: kernel.name,
    inputs: inputs.map((input) => (input instanceof Var ? input : input.whole)),
    outputs: outputs.map((pack) => ({ variable: pack.whole, start: whole(0) })),
    nest: { kind: 'map', size, element: (index) => elementsAt(kernel, index) },
    guard: null,
    slices: null,
  }
}

/** Something that is done, with arrays that it reads and makes. */
export interface Doing {
  readonly reads: readonly Var[]
  readonly writes: readonly Var[]
}

/**
 * The order in which works are done when those of a family are done at once. Families that can't be, because one member needs
 * what another makes or would write where it reads, are left out with those that share their packs.
 */
export function arrange<W extends Doing>(
  works: readonly W[],
  found: readonly (readonly Family[])[],
  doingOf: (family: Family) => Doing,
): { readonly order: readonly (W | Family)[]; readonly classes: readonly (readonly Family[])[] } {
  let classes = found
  for (;;) {
    const familyOf = new Map<Doing, Family>(
      classes.flat().flatMap((family) => family.uses.map((use) => [use, family] as const)),
    )
    const last = new Map(works.map((work, k) => [familyOf.get(work) ?? work, k]))
    const things = works.flatMap((work, k): (W | Family)[] => {
      const thing = familyOf.get(work) ?? work
      return last.get(thing) === k ? [thing] : []
    })
    const doings = new Map(things.map((thing) => [thing, 'uses' in thing ? doingOf(thing) : thing]))
    const bad = misplaced(doings, classes) ?? inOrder(doings)
    if (Array.isArray(bad)) return { order: bad, classes }
    classes = classes.filter((families) => !families.includes(bad as Family))
  }
}

/** A family that has an array in a pack which something both reads and writes. */
function misplaced(
  doings: ReadonlyMap<unknown, Doing>,
  classes: readonly (readonly Family[])[],
): Family | null {
  const packOf = new Map<Var, readonly [Pack, Family]>()
  for (const family of classes.flat())
    for (const pack of packsOf(family)) for (const part of pack.parts) packOf.set(part, [pack, family])
  if (packOf.size === 0) return null
  for (const { reads, writes } of doings.values()) {
    const read = new Set(reads.map((variable) => packOf.get(variable)?.[0]))
    for (const variable of writes) {
      const [pack, family] = packOf.get(variable) ?? []
      if (pack !== undefined && read.has(pack)) return family!
    }
  }
  return null
}

/** The packs of a family. */
export const packsOf = ({ inputs, outputs }: Family): Pack[] =>
  [...inputs, ...outputs].filter((array): array is Pack => !(array instanceof Var))

/**
 * Things in an order in which each has what it reads, or a family that can't be. What is no kernel may have effects, and keeps
 * its order.
 */
function inOrder<T extends object>(doings: ReadonlyMap<T, Doing>): T[] | T {
  const makers = new Map<Var, T[]>()
  for (const [thing, { writes }] of doings)
    for (const variable of writes) makers.set(variable, [...(makers.get(variable) ?? []), thing])
  const before = new Map<T, T>()
  let previous: T | null = null
  for (const thing of doings.keys()) {
    if ('uses' in thing || 'kernel' in thing) continue
    if (previous !== null) before.set(thing, previous)
    previous = thing
  }
  const order = new Set<T>()
  const open = new Set<T>()
  const visit = (thing: T): T | null => {
    if (order.has(thing)) return null
    if (open.has(thing)) {
      const family = [...open].findLast((other) => 'uses' in other)
      if (family === undefined)
        throw new Error('compile: kernels wait for each other; this is a defect of the compiler')
      return family
    }
    open.add(thing)
    const needed = doings.get(thing)!.reads.flatMap((variable) => makers.get(variable) ?? [])
    for (const other of [before.get(thing), ...needed]) {
      const bad = other === undefined || other === thing ? null : visit(other)
      if (bad !== null) return bad
    }
    open.delete(thing)
    order.add(thing)
    return null
  }
  for (const thing of doings.keys()) {
    const bad = visit(thing)
    if (bad !== null) return bad
  }
  return [...order]
}
