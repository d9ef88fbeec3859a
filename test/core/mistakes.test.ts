// What a newcomer does wrong, what is said then, and that it points to the newcomer's own line. `docs/debugging.md` has the same
// list.

import { readFile } from 'node:fs/promises'
import { fileURLToPath } from 'node:url'
import { inspect } from 'node:util'
import {
  add,
  cond,
  debug,
  grad,
  jit,
  jvp,
  linearize,
  log,
  matmul,
  mul,
  random,
  scan,
  sum,
  type Tensor,
  tensor,
  tree,
  type Value,
  valueAndGrad,
  vjp,
  vmap,
  whileLoop,
  zeros,
} from 'cotangent'
import { describe, expect, test, vi } from 'vitest'
import { userLine } from '../../core/source.ts'

const v3 = tensor([1, 2, 3])
const i3 = tensor([0, 1, 2], { dtype: 'i32' })
const m23 = zeros([2, 3])

/** What the types forbid, as it comes from JavaScript. */
const anything = (x: unknown) => x as never
const number = (x: unknown) => x as number

/** A mistake for each name; where a line is not the whole, the user's line is the one that says `mistake`. */
const mistakes: Readonly<Record<string, () => unknown>> = {
  'arithmetic with +': () => jit((x: Value) => mul(x, number(x) + 1))(v3),
  'a comparison with >': () => jit((x: Value) => (number(x) > 0 ? x : x.neg()))(v3),
  'an array in `if`': () =>
    debug.checked(
      jit((x: Value) => {
        if (x.sum().greater(0)) return x
        return x.neg()
      }),
    )(v3),
  'a traced value kept for later': () => {
    let kept: Value = v3
    jit((x: Value) => {
      kept = x.mul(2)
      return x
    })(v3)
    return kept.add(1)
  },
  'reading inside of jit': () => {
    let read: Promise<unknown> | undefined
    jit((x: Value) => {
      read = x.data()
      return x
    })(v3)
    return read
  },
  'one element inside of jit': () => {
    let read: Promise<unknown> | undefined
    jit((x: Value) => {
      read = x.item()
      return x
    })(v3)
    return read
  },
  '`await` inside of jit': () => jit(async (x: Value) => mul(x, (await x.data())[0]!))(v3),
  'nothing returned': () =>
    jit(function step(x: Value) {
      x.mul(2)
    })(v3),
  'shapes that do not fit': () => add(m23, zeros([2])),
  'a product of wrong shapes': () => matmul(m23, m23),
  'an axis that is not there': () => sum(m23, { axis: 2 }),
  'a negative axis that is not there': () => m23.sum({ axis: -3 }),
  'a wrong rank': () => m23.transpose([0, 1, 2]),
  'a condition of several elements': () =>
    cond(
      v3.less(2),
      (x: Value) => x,
      (x: Value) => x.neg(),
      v3,
    ),
  'floats where integers are wanted': () => m23.take(v3),
  'the gradient of what is no scalar': () => grad((x: Value) => x.mul(2))(v3),
  'the gradient of integers': () => grad((x: Value) => sum(x).cast('f32'))(i3),
  'batches that disagree': () => vmap((x: Value, y: Value) => x.add(y))(m23, v3),
  'trees that disagree': () =>
    tree.map((p: Value, g: Value) => p.sub(g), { w: v3, b: v3 }, anything({ w: v3 })),
  'a carry that changes its type': () => scan((n: Value, x: Value) => [n.add(x), x], i3.sum(), v3),
  'branches that disagree': () =>
    cond(
      v3.sum().less(0),
      (x: Value) => x,
      (x: Value) => x.sum(),
      v3,
    ),
  'a loop without end in reverse': () =>
    grad((x: Value) =>
      whileLoop(
        (x) => x.less(100),
        (x) => x.mul(2),
        x,
      ),
    )(tensor(3)),
  'a class instance for a tree': () =>
    jit(({ x }: { x: Value }) => x)(
      new (class Batch {
        x = v3
      })(),
    ),
  'a Map for a tree': () => jit((params: Map<string, Value>) => params.get('w')!)(new Map([['w', v3]])),
  'a string argument': () => jit((x: Value, mode: string) => (mode === 'train' ? x : x.neg()))(v3, 'train'),
  'a donated array': () => {
    const step = jit((x: Value) => x.mul(2), { donate: [0] })
    const x = tensor([1])
    step(x)
    return x.add(1)
  },
  'a disposed array': () => {
    const x = tensor([1]) as Tensor
    x.dispose()
    return x.add(1)
  },
  'an array that changes its shape at each call': () => {
    const step = jit(function step(batch: { x: Value }) {
      return batch.x.sum()
    })
    for (let n = 1; n <= 9; n++) step({ x: zeros([n]) })
  },
  'a static argument that changes at each call': () => {
    const step = jit((x: Value, rate: number) => x.mul(rate), { staticArgnums: [1] })
    for (let n = 1; n <= 9; n++) step(v3, n / 8)
  },
  'a random key used twice': () =>
    debug.checked(() => {
      const key = random.key(0)
      const noise = random.uniform(key, [3])
      return noise.add(random.uniform(key, [3]))
    })(),
  'a random key used after `split`': () =>
    debug.checked((key: Value) => {
      const keys = random.split(key)
      return random.uniform(key, [2, 2]).add(keys.cast('f32'))
    })(random.key(0)),
  'a NaN': () =>
    debug
      .checked((x: Value) => log(x.sub(2)).sum())(v3)
      .data(),
}

const own = fileURLToPath(import.meta.url)
const text = (await readFile(own, 'utf8')).split('\n')
const table = await readFile(new URL('../../docs/debugging.md', import.meta.url), 'utf8')

interface Said {
  readonly message: string
  /** The user's line, as it stands in this file; null where there is none. */
  readonly line: string | null
}

/** What is thrown, brought by a promise, or warned of. */
async function said(f: () => unknown): Promise<Said> {
  const warn = vi.spyOn(console, 'warn').mockImplementation(() => {})
  try {
    await f()
    const [message] = warn.mock.calls[0] as [string]
    const lines = (message.match(/[\w./-]+:\d+:\d+/g) ?? []).map(lineAt)
    return { message: `warning ${message}`, line: lines.join(' | ') }
  } catch (thrown) {
    const error = thrown as Error
    const place = error instanceof debug.NanError ? error.source : userLine(error.stack ?? '')
    return { message: `${error.name} ${error.message}`, line: lineAt(place) }
  } finally {
    warn.mockRestore()
  }
}

function lineAt(place: string | null): string | null {
  const [, file = '', line] = /^(.*):(\d+):\d+$/.exec(place ?? '') ?? []
  return own.endsWith(file) && file !== '' ? text[Number(line) - 1]!.trim() : place
}

const withoutPlaces = (message: string): string => message.replaceAll(/[\w./-]+:\d+:\d+/g, 'file:line:column')

const all: (readonly [string, Said])[] = []
for (const [name, mistake] of Object.entries(mistakes)) all.push([name, await said(mistake)])

describe('mistakes', () => {
  test.each(all)('%s: is said in the form `op: fact; remedy`, with the line', (_, { message, line }) => {
    expect(withoutPlaces(message)).toMatch(
      /^((Type|Range|Nan)?Error|warning) [\w.]+( \S+)?: [^;]+; [^;]*[^;.]$/,
    )
    expect(text.map((line) => line.trim())).toContain(line?.split(' | ')[0])
  })

  test.each(all)('%s: has its row in docs/debugging.md', (name, { message }) => {
    const row = table.split('\n').find((line) => line.startsWith(`| ${name} | `))
    expect(row?.split(' | ')[1]).toBe(`\`${withoutPlaces(message)}\``)
  })

  test('have no other rows there', () => {
    expect(table.match(/^\| .*\|$/gm)).toHaveLength(all.length + 1) // and the heading
  })

  test('read', () => {
    const shown = all.map(([name, { message, line }]) => `${name}\n  ${withoutPlaces(message)}\n  > ${line}`)
    expect(shown.join('\n')).toMatchInlineSnapshot(`
      "arithmetic with +
        TypeError trace: a traced f32[3] was used as a JavaScript value; compute with add, mul, less, …, and branch with where() or cond()
        > 'arithmetic with +': () => jit((x: Value) => mul(x, number(x) + 1))(v3),
      a comparison with >
        TypeError trace: a traced f32[3] was used as a JavaScript value; compute with add, mul, less, …, and branch with where() or cond()
        > 'a comparison with >': () => jit((x: Value) => (number(x) > 0 ? x : x.neg()))(v3),
      an array in \`if\`
        warning gt: bool[] (file:line:column) is not used, and JavaScript takes every array as true; choose with where() or cond() instead of if
        > if (x.sum().greater(0)) return x
      a traced value kept for later
        Error add: a traced f32[3] escaped its trace; return it from the traced function instead of storing it
        > return kept.add(1)
      reading inside of jit
        Error data: a traced f32[3] has no elements yet; return it from the traced function and read the result, or look at it with debug.print
        > read = x.data()
      one element inside of jit
        Error item: a traced f32[3] has no elements yet; return it from the traced function and read the result, or look at it with debug.print
        > read = x.item()
      \`await\` inside of jit
        TypeError jit: the function returned a promise; make it synchronous, and read results outside of it
        > '\`await\` inside of jit': () => jit(async (x: Value) => mul(x, (await x.data())[0]!))(v3),
      nothing returned
        TypeError step: the function returned undefined; let it return its result
        > })(v3),
      shapes that do not fit
        TypeError add: shapes [2,3] and [2] do not broadcast: axis 1 is 3 on the left and 2 on the right; make them equal, or one of them 1
        > 'shapes that do not fit': () => add(m23, zeros([2])),
      a product of wrong shapes
        TypeError matmul: f32[2,3] has 3 columns but f32[2,3] has 2 rows; they must agree, transpose one of them
        > 'a product of wrong shapes': () => matmul(m23, m23),
      an axis that is not there
        RangeError sum: axis 2 is outside an array of rank 2; use -2 to 1
        > 'an axis that is not there': () => sum(m23, { axis: 2 }),
      a negative axis that is not there
        RangeError sum: axis -3 is outside an array of rank 2; use -2 to 1
        > 'a negative axis that is not there': () => m23.sum({ axis: -3 }),
      a wrong rank
        RangeError transpose: axis 2 is outside an array of rank 2; use -2 to 1
        > 'a wrong rank': () => m23.transpose([0, 1, 2]),
      a condition of several elements
        TypeError cond: bool[3] is no scalar; choose with where(), or vmap over it
        > cond(
      floats where integers are wanted
        TypeError take: indices are f32[3]; cast them to i32
        > 'floats where integers are wanted': () => m23.take(v3),
      the gradient of what is no scalar
        TypeError grad: expected a scalar loss, got f32[3]; sum or average it first
        > 'the gradient of what is no scalar': () => grad((x: Value) => x.mul(2))(v3),
      the gradient of integers
        TypeError grad: argument 0 is i32[3]; differentiate with respect to float arrays only
        > 'the gradient of integers': () => grad((x: Value) => sum(x).cast('f32'))(i3),
      batches that disagree
        TypeError vmap: argument 0 has 2 examples and argument 1 has 3; their batch axes must agree, or give null in inAxes for what all share
        > 'batches that disagree': () => vmap((x: Value, y: Value) => x.add(y))(m23, v3),
      trees that disagree
        TypeError tree.map: tree 2 has nothing at "b"; give it what tree 1 has there
        > tree.map((p: Value, g: Value) => p.sub(g), { w: v3, b: v3 }, anything({ w: v3 })),
      a carry that changes its type
        TypeError scan: carry goes in as i32[] and comes out as f32[]; keep its structure and types
        > 'a carry that changes its type': () => scan((n: Value, x: Value) => [n.add(x), x], i3.sum(), v3),
      branches that disagree
        TypeError cond: the result is f32[] from onFalse and f32[3] from onTrue; return the same structure and types
        > cond(
      a loop without end in reverse
        TypeError whileLoop: reverse mode has to know how many turns to keep; give maxIterations, or use scan or foriLoop
        > )(tensor(3)),
      a class instance for a tree
        TypeError jit: argument 0 is of class Batch; pass the arrays it is made of and make it inside of the function, or register the class with tree.register
        > jit(({ x }: { x: Value }) => x)(
      a Map for a tree
        TypeError jit: argument 0 is of class Map; pass the arrays it is made of and make it inside of the function, or register the class with tree.register
        > 'a Map for a tree': () => jit((params: Map<string, Value>) => params.get('w')!)(new Map([['w', v3]])),
      a string argument
        TypeError jit: argument 1 is of type string; pass arrays, numbers or trees of them, or name the argument in staticArgnums
        > 'a string argument': () => jit((x: Value, mode: string) => (mode === 'train' ? x : x.neg()))(v3, 'train'),
      a donated array
        Error add: operand 0 was donated to an earlier call of jit; use the tree that call returned
        > return x.add(1)
      a disposed array
        Error add: operand 0 was disposed of; dispose of arrays after their last use
        > return x.add(1)
      an array that changes its shape at each call
        warning step: traced and compiled 8 times (file:line:column), as "x" of argument 0 was f32[6], f32[7], f32[8] last; pad it to a few sizes, so that few programs serve all calls
        > for (let n = 1; n <= 9; n++) step({ x: zeros([n]) })
      a static argument that changes at each call
        warning jit: traced and compiled 8 times (file:line:column), as static argument 1 was 0.75, 0.875, 1 last; pass what takes many values as an array, not in staticArgnums
        > for (let n = 1; n <= 9; n++) step(v3, n / 8)
      a random key used twice
        warning random: the key that gives numbers at file:line:column was used at file:line:column before, so that their numbers are not independent; split it, and use each part once
        > return noise.add(random.uniform(key, [3])) | const noise = random.uniform(key, [3])
      a random key used after \`split\`
        warning random: the key that gives numbers at file:line:column was split at file:line:column before, so that their numbers are not independent; split it, and use each part once
        > return random.uniform(key, [2, 2]).add(keys.cast('f32')) | const keys = random.split(key)
      a NaN
        NanError log: f32[3] = log f32[3] (file:line:column) made a NaN of inputs without one; print those with debug.print, and keep them where it is defined
        > .checked((x: Value) => log(x.sub(2)).sum())(v3)"
    `)
  })
})

describe('a fault of the device names the transform', () => {
  const huge = zeros([2 ** 31])
  const spread = (x: Value): Value => x.add(huge)
  test.each<readonly [string, () => Value]>([
    ['grad', () => grad((x: Value) => sum(spread(x)))(spread(tensor(0)))],
    ['grad', () => valueAndGrad((x: Value) => sum(x))(huge)[1]],
    ['vmap', () => vmap(spread)(tensor([[0]]))],
    ['jvp', () => jvp(spread, [tensor(0)], [tensor(1)])[0]],
    ['vjp', () => vjp(spread, tensor(0))[0]],
    ['linearize', () => linearize(spread, tensor(0))[0]],
  ])('%s', async (operation, f) => {
    const error: unknown = await f()
      .data()
      .catch((error: unknown) => error)
    expect(error).toMatchObject({ name: 'OutOfMemoryError', operation })
  })
})

test('console.log shows the type', () => {
  let shown = ''
  jit((x: Value) => {
    shown = inspect({ x, v3 })
    return x
  })(v3)
  expect(shown).toBe('{ x: Tracer f32[3], v3: Tensor f32[3] }')
})
