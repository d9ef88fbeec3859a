// Random programs. A program is drawn as a list of steps and written as text: what is run is what a failure prints. A step
// applies a row of `primitives.table.ts` to some of the values so far, brought to where the row's inputs may lie; or it moves,
// folds or multiplies along axes of its own; or it holds a program or two in a structure.

import fc from 'fast-check'
import * as cotangent from '../../index.ts'
import { Aval, type DType, evalShape, type Shape, sizeOf, type Value } from '../../index.ts'
import type { HostArray } from '../support/host.ts'
import { between, bools, type Domain, floats, generator, integers } from '../support/inputs.ts'
import { rows } from './primitives.table.ts'
import { type Drawable, drawables, isWide, type Place } from './programs.rows.ts'

/** One step: `args` say of which values, `n` decides its details, `bodies` are the programs inside. */
interface Step {
  readonly kind: string
  readonly args: readonly number[]
  readonly n: number
  readonly bodies: readonly (readonly Step[])[]
}

export interface Program {
  readonly seed: number
  readonly steps: readonly Step[]
}

/** A name in the text, and what it stands for. */
interface Entry {
  readonly name: string
  readonly aval: Aval
}

export interface Written {
  readonly text: string
  readonly inputs: readonly { readonly name: string; readonly domain: Domain }[]
  /** False if it holds what has, by design, another derivative than the limit of differences. */
  readonly isSmooth: boolean
  /** The kinds of its steps, and the rows. */
  readonly kinds: readonly string[]
}

const pick = <T>(list: readonly T[], n: number): T => list[n % list.length]!
const isFloat = ({ aval }: Entry): boolean => aval.dtype === 'f32'
const show = (shape: Shape): string => `[${shape.join(', ')}]`
const indent = (lines: readonly string[]): string[] => lines.map((line) => `  ${line}`)

/** Values are at most so large. */
const maxSize = 48
const maxRank = 4

class Writer {
  readonly inputs: { readonly name: string; readonly domain: Domain }[] = []
  readonly kinds: string[] = []
  isSmooth = true
  readonly #fresh: Entry[] = []
  #count = 0
  #lines: string[] = []
  /** Whether the function being written may read what is outside of it. */
  #isOpen = true

  fresh(domain: Domain): Entry {
    const name = `x${this.inputs.length}`
    const entry = { name, aval: new Aval(domain.shape, domain.dtype) }
    this.inputs.push({ name, domain })
    this.#fresh.push(entry)
    return entry
  }

  /** A line that names what an expression of `scope` gives. */
  all(scope: readonly Entry[], expression: string): Entry[] {
    const read = distinct([...scope, ...this.#fresh])
    const names = read.map(({ name }) => name)
    const f = new Function('ops', 'rows', ...names, `return ${expression}`)
    const call = (...values: readonly Value[]): unknown => f(cotangent, rows, ...values)
    const results = [
      evalShape(call)(...(read.map(({ aval }) => aval) as unknown as Value[])),
    ].flat() as Value[]
    const entries = results.map(({ shape, dtype }) => ({
      name: `v${this.#count++}`,
      aval: new Aval(shape, dtype),
    }))
    const left = entries.map(({ name }) => name).join(', ')
    this.#lines.push(
      `const ${expression.startsWith('[') || entries.length > 1 ? `[${left}]` : left} = ${expression}`,
    )
    return entries
  }

  let(scope: readonly Entry[], expression: string): Entry {
    return this.all(scope, expression)[0]!
  }

  /** The lines that `write` makes. */
  lines(write: () => void): string[] {
    const outer = this.#lines
    this.#lines = []
    write()
    const inner = this.#lines
    this.#lines = outer
    return inner
  }

  /** A function of these parameters; `result` says what it returns, given the values in it. */
  arrow(
    params: readonly Entry[],
    outer: readonly Entry[],
    steps: readonly Step[],
    result: (scope: readonly Entry[]) => string,
    isOpen = true,
  ): string {
    const before = this.#isOpen
    this.#isOpen = before && isOpen
    let last = ''
    const lines = this.lines(() => {
      last = result(this.steps([...(isOpen ? outer : []), ...params], steps))
    })
    this.#isOpen = before
    const head = `(${params.map(({ name }) => name).join(', ')}) =>`
    return lines.length === 0
      ? `${head} ${last}`
      : `${head} {\n${indent([...lines, `return ${last}`]).join('\n')}\n}`
  }

  param(aval: Aval): Entry {
    return { name: `p${this.#count++}`, aval }
  }

  /** The values before and after some steps. */
  steps(scope: readonly Entry[], steps: readonly Step[]): readonly Entry[] {
    let values = scope
    for (const step of steps) {
      this.kinds.push(step.kind)
      const write = structures[step.kind] ?? moves[step.kind]
      const made = write ? write(this, values, step) : this.row(values, step)
      values = [...values, ...made.map((value) => this.bounded(value))]
    }
    return values
  }

  row(scope: readonly Entry[], step: Step): Entry[] {
    const row = pick(drawables, Number(step.kind))
    this.kinds[this.kinds.length - 1] = row.name
    if (!row.isSmooth) this.isSmooth = false
    const [first] = row.places
    const lead = pick(scope, step.args[0]!)
    const shapes = step.n % 2 === 0 ? freeShapes(row, lead) : null
    if (shapes !== null && first !== undefined) {
      const lines = [...this.#lines]
      try {
        return this.applied(row, scope, step, shapes)
      } catch (error) {
        if (!(error instanceof TypeError || error instanceof RangeError)) throw error
        this.#lines = lines // it does not take these shapes
      }
    }
    return this.applied(
      row,
      scope,
      step,
      row.places.map(({ shape }) => shape),
    )
  }

  applied(row: Drawable, scope: readonly Entry[], { args, n }: Step, shapes: readonly Shape[]): Entry[] {
    const inputs = row.places.map((place, j) => {
      const arg = pick(args, j)
      const isDeclared = String(place.shape) === String(shapes[j])
      if (this.#isOpen && isDeclared && (arg + n + j) % 5 === 0) return this.fresh(place.domain)
      return this.within(this.resized(pick(scope, arg), shapes[j]!), place, row, n + j)
    })
    const result = this.let(inputs, `(${row.text})(${inputs.map(({ name }) => name)})`)
    if (!isFloat(result) || row.largest < 8) return [result]
    return [this.let([result], `ops.mul(${result.name}, ${2 / row.largest})`)]
  }

  /** The same or similar elements in another shape. */
  resized(value: Entry, shape: Shape): Entry {
    const { name, aval } = value
    if (String(aval.shape) === String(shape)) return value
    const tail = shape.slice(shape.length - aval.shape.length)
    if (
      aval.shape.length <= shape.length &&
      aval.shape.every((extent, axis) => extent === 1 || extent === tail[axis])
    )
      return this.let([value], `ops.broadcastTo(${name}, ${show(shape)})`)
    const size = sizeOf(shape)
    if (aval.size === size) return this.let([value], `ops.reshape(${name}, ${show(shape)})`)
    const times = Math.ceil(size / aval.size)
    const flat = aval.shape.length === 1 ? value : this.let([value], `ops.reshape(${name}, [${aval.size}])`)
    const long =
      times === 1
        ? flat
        : this.let([flat], `ops.concatenate([${new Array(times).fill(flat.name).join(', ')}])`)
    const cut =
      long.aval.size === size
        ? long
        : this.let([long], `ops.slice(${long.name}, { start: [0], end: [${size}] })`)
    return shape.length === 1 ? cut : this.let([cut], `ops.reshape(${cut.name}, ${show(shape)})`)
  }

  /** Floats around 1, of any value. */
  float(value: Entry): Entry {
    const { name, aval } = value
    if (aval.dtype === 'f32') return value
    if (aval.dtype === 'bool') return this.let([value], `ops.cast(${name}, 'f32')`)
    return this.let([value], `ops.mul(ops.cast(ops.rem(${name}, 16), 'f32'), 0.25)`)
  }

  /** Whole numbers of any value: four times the floats. */
  whole(value: Entry): Entry {
    const { name, aval } = value
    if (aval.dtype === 'i32') return value
    const whole = aval.dtype === 'f32' ? `ops.round(ops.mul(${name}, 4))` : name
    return this.let([value], `ops.cast(${whole}, 'i32')`)
  }

  bool(value: Entry): Entry {
    const { name, aval } = value
    if (aval.dtype === 'bool') return value
    return this.let(
      [value],
      aval.dtype === 'f32' ? `ops.greater(${name}, 0.1)` : `ops.equal(ops.bitwiseAnd(${name}, 1), 1)`,
    )
  }

  /** Numbers where an input of a row may lie. */
  within(value: Entry, place: Place, { isCareful, isExact }: Drawable, n: number): Entry {
    const { dtype, low, high } = place
    if (dtype === 'bool') return this.bool(value)
    if (dtype === 'f32') {
      const x = this.float(value)
      if (isExact) return this.let([x], `ops.mul(ops.round(ops.mul(${x.name}, 8)), 0.125)`)
      if (!isWide(place)) return this.spread(x, (low + high) / 2, (high - low) / 2)
      return isCareful ? this.spread(x, (n % 4) - 1.5, 0.375) : x
    }
    const count = high - low + 1
    const whole = this.whole(value)
    if (count >= 2 ** 30)
      return this.let(
        [whole],
        dtype === 'u32'
          ? `ops.mul(ops.cast(${whole.name}, 'u32'), 2654435769)`
          : `ops.mul(${whole.name}, 1640531527)`,
      )
    const inside = `ops.mod(${whole.name}, ${count})`
    return this.let([whole], `ops.add(${dtype === 'u32' ? `ops.cast(${inside}, 'u32')` : inside}, ${low})`)
  }

  spread(x: Entry, middle: number, radius: number): Entry {
    return this.let([x], `ops.add(ops.mul(ops.sin(${x.name}), ${radius}), ${middle})`)
  }

  /** A value like another: its shape and dtype, and if they are floats, about as large as in `x`. */
  like(value: Entry, { shape, dtype }: Aval): Entry {
    const sized = this.resized(value, shape)
    if (dtype === 'f32') return this.float(sized)
    if (dtype === 'bool') return this.bool(sized)
    const whole = this.whole(sized)
    return dtype === 'u32' ? this.let([whole], `ops.cast(${whole.name}, 'u32')`) : whole
  }

  index(value: Entry, low: number, high: number): Entry {
    const whole = this.whole(this.resized(value, []))
    return this.let([whole], `ops.add(ops.mod(${whole.name}, ${high - low + 1}), ${low})`)
  }

  /** An array with at least one axis, and at most `extent` slices along it. */
  slices(value: Entry): Entry {
    const [extent] = value.aval.shape
    if (extent !== undefined && extent > 0 && extent <= 4) return value
    return this.resized(value, [3, 2])
  }

  bounded(value: Entry): Entry {
    const { shape, size } = value.aval
    if (size === 0) return this.fresh(floats([2]))
    if (size <= maxSize && shape.length <= maxRank) return value
    return this.resized(value, [3, 4])
  }
}

/** Other shapes for a row: those of a value, as far as they are like the row's own. */
function freeShapes({ places, isElementwise }: Drawable, { aval }: Entry): Shape[] | null {
  const [first] = places
  if (first === undefined || aval.shape.length === 0) return null
  const own = first.shape
  if (!isElementwise && (own.length !== aval.shape.length || aval.shape.some((n, axis) => n < own[axis]!)))
    return null
  if (places.some(({ shape }) => shape.length > own.length)) return null
  return places.map(({ shape }) => {
    const isTail = shape.every((extent, axis) => extent === own[own.length - shape.length + axis])
    if (isElementwise) return shape.length === 0 ? [] : aval.shape.slice(-shape.length)
    return isTail && shape.length > 0 ? aval.shape.slice(aval.shape.length - shape.length) : shape
  })
}

type Write = (writer: Writer, scope: readonly Entry[], step: Step) => Entry[]

/** The last value of a function's scope, or of the outer one. */
const last = (scope: readonly Entry[]): Entry => scope.at(-1)!

const axisOf = ({ aval }: Entry, n: number): number => n % Math.max(aval.shape.length, 1)
const withAxis = (writer: Writer, value: Entry): Entry =>
  value.aval.shape.length === 0 ? writer.resized(value, [2]) : value

/** Steps along axes of their own. */
const moves: Readonly<Record<string, Write>> = {
  reduce: (w, scope, { args, n }) => {
    const x = withAxis(w, w.float(pick(scope, args[0]!)))
    const fold = pick(['mean', 'max', 'min', 'sum', 'variance', 'logSumExp'], n)
    const options = `{ axis: ${axisOf(x, args[1]!)}, keepDims: ${args[2]! % 2 === 0} }`
    const y = w.let([x], `ops.${fold}(${x.name}, ${options})`)
    return [fold === 'sum' ? w.let([y], `ops.mul(${y.name}, 0.5)`) : y]
  },
  wholeFold: (w, scope, { args, n }) => {
    const x = withAxis(w, w.whole(pick(scope, args[0]!)))
    const fold = pick(['max', 'min', 'sum', 'argmax'], n)
    return [w.let([x], `ops.${fold}(${x.name}, { axis: ${axisOf(x, args[1]!)} })`)]
  },
  softmax: (w, scope, { args, n }) => {
    const x = withAxis(w, w.float(pick(scope, args[0]!)))
    return [
      w.let([x], `ops.${pick(['softmax', 'logSoftmax'], n)}(${x.name}, { axis: ${axisOf(x, args[1]!)} })`),
    ]
  },
  turn: (w, scope, { args, n }) => {
    const x = withAxis(w, pick(scope, args[0]!))
    const axis = axisOf(x, args[1]!)
    const order = x.aval.shape.map((_, k) => (k + axis) % x.aval.shape.length)
    const ways = [
      `ops.transpose(${x.name}, ${show(order)})`,
      `ops.flip(${x.name}, { axis: ${axis} })`,
      `ops.reshape(${x.name}, [-1, ${x.aval.shape.at(-1)}])`,
      `ops.expandDims(${x.name}, ${axis})`,
      `ops.moveaxis(${x.name}, ${axis}, -1)`,
    ]
    return [w.let([x], pick(ways, n))]
  },
  cut: (w, scope, { args, n }) => {
    const x = withAxis(w, pick(scope, args[0]!))
    const axis = axisOf(x, args[1]!)
    const ends = (f: (extent: number) => number): string =>
      show(x.aval.shape.map((extent, k) => (k === axis ? f(extent) : 0)))
    const start = x.aval.shape[axis]! > 1 ? 1 : 0
    const ways = [
      `ops.slice(${x.name}, { start: ${ends(() => start)}, end: ${show(x.aval.shape)} })`,
      `ops.pad(${x.name}, { before: ${ends(() => 1)}, after: ${ends(() => args[2]! % 3)} })`,
      `ops.index(${x.name}, '...', { start: -1, step: -2 })`,
    ]
    return [w.let([x], pick(ways, n))]
  },
  join: (w, scope, { args, n }) => {
    const x = withAxis(w, pick(scope, args[0]!))
    const y = w.like(pick(scope, args[1]!), x.aval)
    const join = pick(['concatenate', 'stack'], n)
    return [w.let([x, y], `ops.${join}([${x.name}, ${y.name}, ${x.name}], { axis: ${axisOf(x, args[2]!)} })`)]
  },
  where: (w, scope, { args }) => {
    const [x, other] = [pick(scope, args[1]!), pick(scope, args[2]!)]
    const c = w.bool(w.resized(pick(scope, args[0]!), x.aval.shape))
    const y = w.like(other, x.aval)
    return [w.let([c, x, y], `ops.where(${c.name}, ${x.name}, ${y.name})`)]
  },
  compare: (w, scope, { args, n }) => {
    const x = pick(scope, args[0]!)
    const y = w.like(pick(scope, args[1]!), x.aval)
    return [w.let([x, y], `ops.${pick(['less', 'lessEqual', 'equal'], n)}(${x.name}, ${y.name})`)]
  },
  product: (w, scope, { args, n }) => {
    const spec = pick(['ik,kj->ij', 'ik,jk->ji', 'ki,kj->ij', 'ij,ij->i', 'ij,jk->kij', 'bik,bkj->bij'], n)
    const extents: Record<string, number> = { b: 2, i: 2 + (args[2]! % 2), j: 3, k: 2 + (args[3]! % 3) }
    const [lhs, rhs] = spec
      .split('->')[0]!
      .split(',')
      .map((side) => [...side].map((letter) => extents[letter]!))
    const x = w.float(w.resized(pick(scope, args[0]!), lhs!))
    const y = w.float(w.resized(pick(scope, args[1]!), rhs!))
    const z = w.let([x, y], `ops.contract('${spec}', ${x.name}, ${y.name})`)
    return [w.let([z], `ops.mul(${z.name}, 0.5)`)]
  },
  gather: (w, scope, { args, n }) => {
    const x = withAxis(w, pick(scope, args[0]!))
    const axis = axisOf(x, args[1]!)
    const mode = pick(['clip', 'wrap', 'fill'], n)
    const extent = x.aval.shape[axis]!
    const ids = w.whole(w.resized(pick(scope, args[2]!), [3]))
    const near =
      mode === 'fill' ? w.let([ids], `ops.sub(ops.mod(${ids.name}, ${3 * extent}), ${2 * extent - 1})`) : ids
    const y = w.let([x, near], `ops.take(${x.name}, ${near.name}, { axis: ${axis}, mode: '${mode}' })`)
    return [mode === 'fill' && isFloat(y) ? w.let([y], `ops.nanToNum(${y.name})`) : y]
  },
  scatter: (w, scope, { args, n }) => {
    const x = withAxis(w, w.float(pick(scope, args[0]!)))
    const ids = w.whole(w.resized(pick(scope, args[1]!), [3]))
    const u = w.float(w.resized(pick(scope, args[2]!), [3, ...x.aval.shape.slice(1)]))
    const how = pick(['add', 'set', 'max', 'min', 'mul'], n)
    const safe = w.let([ids], `ops.mod(${ids.name}, ${x.aval.shape[0]! + 1})`)
    return [w.let([x, safe, u], `ops.at(${x.name}, ${safe.name}).${how}(${u.name})`)]
  },
  random: (w, scope, { args, n }) => {
    const word = w.whole(w.resized(pick(scope, args[0]!), []))
    const key = w.let(
      [word],
      `ops.random.foldIn(ops.stack([ops.cast(${word.name}, 'u32'), ops.full([], 7, 'u32')]), 3)`,
    )
    const ways = [
      `ops.random.uniform(${key.name}, [2, 3])`,
      `ops.random.bits(${key.name}, [4])`,
      `ops.random.split(${key.name}, 3)`,
    ]
    return [w.let([key], pick(ways, n))]
  },
}

/** A float array, differentiable or not. */
const floatOf = (w: Writer, scope: readonly Entry[], n: number): Entry => {
  const found = scope.filter(isFloat)
  return found.length > 0 ? pick(found, n) : w.float(pick(scope, n))
}

const mixed = (w: Writer, before: Entry, after: Entry, n: number): Entry => {
  if (!isFloat(before)) return after
  return w.let(
    [before, after],
    n % 2 === 0
      ? `ops.tanh(ops.add(${before.name}, ${after.name}))`
      : `ops.mul(ops.sub(${after.name}, ${before.name}), 0.5)`,
  )
}

/** Steps that hold programs. */
const structures: Readonly<Record<string, Write>> = {
  scan: (w, scope, { args, n, bodies }) => {
    const [carry, other] = [pick(scope, args[0]!), pick(scope, args[1]!)]
    const xs = w.slices(pick(scope, args[2]!))
    const [c, d, x] = [carry.aval, other.aval, new Aval(xs.aval.shape.slice(1), xs.aval.dtype)].map((aval) =>
      w.param(aval),
    )
    const body = w.arrow([c!, d!, x!], scope, bodies[0]!, (inner) => {
      const next = mixed(w, c!, w.like(last(inner), carry.aval), n)
      const swapped = n % 3 === 0 ? w.like(c!, other.aval) : d!
      return `[[${next.name}, ${swapped.name}], [${pick(inner, args[3]!).name}, ${last(inner).name}]]`
    })
    const f = body.replace(`(${c!.name}, ${d!.name}, ${x!.name})`, `([${c!.name}, ${d!.name}], ${x!.name})`)
    const init = `[${carry.name}, ${other.name}]`
    const reverse = args[0]! % 2 === 0 ? ', { reverse: true }' : ''
    return w.all(
      distinct([...scope, carry, other, xs]),
      `ops.scan(${f}, ${init}, ${xs.name}${reverse}).flat()`,
    )
  },
  cond: (w, scope, { args, bodies }) => {
    const choice = w.bool(w.resized(pick(scope, args[0]!), []))
    const x = pick(scope, args[1]!)
    const like = pick(scope, args[2]!).aval
    const branch = (body: readonly Step[]): string => {
      const p = w.param(x.aval)
      return w.arrow([p], scope, body, (inner) => w.like(last(inner), like).name)
    }
    const branches = bodies.map(branch)
    return [
      w.let(distinct([...scope, choice, x]), `ops.cond(${choice.name}, ${branches.join(', ')}, ${x.name})`),
    ]
  },
  switchCase: (w, scope, { args, bodies }) => {
    const choice = w.index(pick(scope, args[0]!), -1, 3)
    const x = pick(scope, args[1]!)
    const branch = (body: readonly Step[]): string => {
      const p = w.param(x.aval)
      return w.arrow([p], scope, body, (inner) => w.like(last(inner), x.aval).name)
    }
    const branches = [...bodies, []].map(branch)
    return [
      w.let(
        distinct([...scope, choice, x]),
        `ops.switchCase(${choice.name}, [${branches.join(', ')}], ${x.name})`,
      ),
    ]
  },
  foriLoop: (w, scope, { args, n, bodies }) => {
    const x = pick(scope, args[0]!)
    const [i, s] = [w.param(new Aval([], 'i32')), w.param(x.aval)]
    const body = w.arrow(
      [i, s],
      scope,
      bodies[0]!,
      (inner) => mixed(w, s, w.like(last(inner), x.aval), n).name,
    )
    return [w.let(distinct([...scope, x]), `ops.foriLoop(${n % 3}, ${(n % 3) + 3}, ${body}, ${x.name})`)]
  },
  whileLoop: (w, scope, { args, n, bodies }) => {
    const x = pick(scope, args[0]!)
    const most = w.index(pick(scope, args[1]!), 0, 4)
    const [i, s] = [w.param(new Aval([], 'i32')), w.param(x.aval)]
    const body = w.arrow([i, s], [...scope, most], bodies[0]!, (inner) => {
      const next = mixed(w, s, w.like(last(inner), x.aval), n)
      return `[ops.add(${i.name}, 1), ${next.name}]`
    })
    const f = body.replace(`(${i.name}, ${s.name})`, `([${i.name}, ${s.name}])`)
    return [
      w.all(
        distinct([...scope, most, x]),
        `ops.whileLoop(([i]) => ops.less(i, ${most.name}), ${f}, [ops.full([], 0, 'i32'), ${x.name}], { maxIterations: 3 })`,
      )[1]!,
    ]
  },
  endless: (w, scope, { args, n, bodies }) => {
    const x = w.let([pick(scope, args[0]!)], `ops.stopGradient(${pick(scope, args[0]!).name})`)
    const most = w.index(pick(scope, args[1]!), 0, 4)
    const [i, s] = [w.param(new Aval([], 'i32')), w.param(x.aval)]
    const body = w.arrow(
      [i, s],
      scope,
      bodies[0]!,
      (inner) => `[ops.add(${i.name}, 1), ${mixed(w, s, w.like(last(inner), x.aval), n).name}]`,
      false,
    )
    const f = body.replace(`(${i.name}, ${s.name})`, `([${i.name}, ${s.name}])`)
    w.isSmooth = false
    return [
      w.all(
        distinct([...scope, most, x]),
        `ops.whileLoop(([i]) => ops.less(i, ${most.name}), ${f}, [ops.full([], 0, 'i32'), ${x.name}])`,
      )[1]!,
    ]
  },
  map: (w, scope, { args, bodies }) => {
    const xs = w.slices(pick(scope, args[0]!))
    const p = w.param(new Aval(xs.aval.shape.slice(1), xs.aval.dtype))
    const body = w.arrow([p], scope, bodies[0]!, (inner) => last(inner).name)
    return [w.let(distinct([...scope, xs]), `ops.map(${body}, ${xs.name})`)]
  },
  vmap: (w, scope, { args, n, bodies }) => {
    const xs = w.slices(pick(scope, args[0]!))
    const shared = pick(scope, args[1]!)
    const [p, q] = [w.param(new Aval(xs.aval.shape.slice(1), xs.aval.dtype)), w.param(shared.aval)]
    const body = w.arrow([p, q], scope, bodies[0]!, (inner) => last(inner).name)
    const axes = `{ inAxes: [0, null], outAxes: ${n % 2 === 0 ? 0 : -1} }`
    return [w.let(distinct([...scope, xs, shared]), `ops.vmap(${body}, ${axes})(${xs.name}, ${shared.name})`)]
  },
  jvp: (w, scope, { args, bodies }) => {
    const x = floatOf(w, scope, args[0]!)
    const t = w.like(pick(scope, args[1]!), x.aval)
    const p = w.param(x.aval)
    const body = w.arrow([p], scope, bodies[0]!, (inner) => w.float(last(inner)).name)
    return w.all(distinct([...scope, x, t]), `ops.jvp(${body}, [${x.name}], [${t.name}])`)
  },
  grad: (w, scope, { args, bodies }) => {
    const x = floatOf(w, scope, args[0]!)
    const p = w.param(x.aval)
    const body = w.arrow([p], scope, bodies[0]!, (inner) => `ops.mean(${w.float(last(inner)).name})`)
    return [w.let(distinct([...scope, x]), `ops.grad(${body})(${x.name})`)]
  },
  vjp: (w, scope, { args, bodies }) => {
    const x = floatOf(w, scope, args[0]!)
    const p = w.param(x.aval)
    const body = w.arrow([p], scope, bodies[0]!, (inner) => w.like(last(inner), new Aval([3], 'f32')).name)
    const ct = w.like(pick(scope, args[1]!), new Aval([3], 'f32'))
    return [w.let(distinct([...scope, x, ct]), `ops.vjp(${body}, ${x.name})[1](${ct.name})[0]`)]
  },
  checkpoint: (w, scope, { args, n, bodies }) => {
    const [x, y] = [pick(scope, args[0]!), pick(scope, args[1]!)]
    const [p, q] = [w.param(x.aval), w.param(y.aval)]
    const body = w.arrow([p, q], scope, bodies[0]!, (inner) => last(inner).name)
    const policy = pick(['nothing', 'everything', 'products'], n)
    return [
      w.let(
        distinct([...scope, x, y]),
        `ops.checkpoint(${body}, { policy: '${policy}' })(${x.name}, ${y.name})`,
      ),
    ]
  },
  customJvp: (w, scope, { args, bodies }) => {
    const x = floatOf(w, scope, args[0]!)
    const p = w.param(x.aval)
    const body = w.arrow([p], scope, bodies[0]!, (inner) => w.float(last(inner)).name, false)
    const f = w.let.bind(w)
    return [
      f(
        distinct([...scope, x]),
        `((f) => ops.customJvp(f, ([x], [t]) => ops.jvp(f, [x], [t])))(${body})(${x.name})`,
      ),
    ]
  },
}

function distinct(entries: readonly Entry[]): Entry[] {
  return [...new Map(entries.map((entry) => [entry.name, entry])).values()]
}

/** A program as the text of a function of `ops`, which returns the values that it made and did not use. */
export function write({ steps }: Program): Written {
  const writer = new Writer()
  const base = [floats([2, 3]), floats([4]), integers(-9, 9, [3]), bools([2, 3]), between(0.2, 1, [])]
  const inputs = base.map((domain) => writer.fresh(domain))
  let values: readonly Entry[] = inputs
  const lines = writer.lines(() => {
    values = writer.steps(inputs, steps)
  })
  const text = lines.join('\n')
  const made = values.slice(inputs.length)
  const unused = made.filter(({ name }) => text.split(new RegExp(`\\b${name}\\b`)).length === 2)
  const results = [...new Set([...unused, last(values)])]
  const body = indent([
    ...lines.flatMap((line) => line.split('\n')),
    `return [${results.map(({ name }) => name).join(', ')}]`,
  ])
  const params = writer.inputs.map(({ name }) => name).join(', ')
  return {
    text: `(${params}) => {\n${body.join('\n')}\n}`,
    inputs: writer.inputs,
    isSmooth: writer.isSmooth,
    kinds: writer.kinds,
  }
}

type Library = typeof cotangent
type Arrays = (...xs: readonly Value[]) => readonly Value[]

/** The function that a text is. */
export const functionOf = (text: string, library: Library = cotangent): Arrays =>
  new Function('ops', 'rows', `return ${text}`)(library, rows) as Arrays

/** The inputs of a program. */
export const draw = ({ inputs }: Written, seed: number): HostArray[] => {
  const random = generator(seed)
  return inputs.map(({ domain }) => domain.draw(random))
}

const numbers = (dtype: DType, data: Float64Array): string =>
  `[${Array.from(data, (x) => (Object.is(x, -0) ? '-0' : String(dtype === 'f32' ? Math.fround(x) : x))).join(', ')}]`

/** A program as a file that runs: `npx tsx FILE`. */
export function source({ text }: Written, xs: readonly HostArray[]): string {
  const tensors = xs.map(
    ({ data, shape, dtype }) =>
      `  ops.tensor(${numbers(dtype, data)}, { shape: ${show(shape)}, dtype: '${dtype}' }),`,
  )
  return [
    "import * as ops from 'cotangent'",
    ...(text.includes('rows[') ? ["import { rows } from './test/laws/primitives.table.ts'"] : []),
    '',
    `const program = ${text}`,
    'const inputs = [',
    ...tensors,
    ']',
    'for (const y of ops.jit(program)(...inputs)) console.log(String(y), await y.data())',
    "const isFloat = ({ dtype }) => dtype === 'f32'",
    'const loss = (...xs) => program(...xs).filter(isFloat).map((y) => ops.sum(y)).reduce((a, b) => ops.add(a, b), 0)',
    'const argnums = inputs.flatMap((x, k) => (isFloat(x) ? [k] : []))',
    'const slopes = ops.jit(ops.grad(loss, { argnums }))(...inputs)',
    "for (const [k, slope] of slopes.entries()) console.log('slope', argnums[k], await slope.data())",
  ].join('\n')
}

const number = fc.nat({ max: 2 ** 16 })
const details = { args: fc.array(number, { minLength: 4, maxLength: 4 }), n: number }
const leaf = fc.oneof(
  { weight: 3, arbitrary: fc.record({ kind: number.map(String), ...details, bodies: fc.constant([]) }) },
  {
    weight: 2,
    arbitrary: fc.record({
      kind: fc.constantFrom(...Object.keys(moves)),
      ...details,
      bodies: fc.constant([]),
    }),
  },
)
const listOf = (step: fc.Arbitrary<Step>, minLength: number, maxLength: number): fc.Arbitrary<Step[]> =>
  fc.array(step, { minLength, maxLength, size: 'max' })
const holding = (step: fc.Arbitrary<Step>): fc.Arbitrary<Step> =>
  fc.record({
    kind: fc.constantFrom(...Object.keys(structures)),
    ...details,
    bodies: fc.tuple(listOf(step, 1, 2), listOf(step, 1, 2)),
  })
const inner = fc.oneof({ weight: 5, arbitrary: leaf }, { weight: 1, arbitrary: holding(leaf) })
const outer = fc.oneof({ weight: 3, arbitrary: leaf }, { weight: 2, arbitrary: holding(inner) })

export const programs: fc.Arbitrary<Program> = fc.record({
  seed: fc.nat({ max: 2 ** 31 - 1 }),
  steps: listOf(outer, 1, 6),
})
