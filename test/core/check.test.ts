// The checking mode: the first NaN, with the equation and the user's line, wherever it is made; and nothing said where nothing
// is wrong.

import { readFile } from 'node:fs/promises'
import { fileURLToPath } from 'node:url'
import {
  checkpoint,
  cond,
  customVjp,
  debug,
  div,
  grad,
  jit,
  jvp,
  log,
  memory,
  mul,
  random,
  scan,
  sqrt,
  statistics,
  sub,
  sum,
  switchCase,
  synchronize,
  tensor,
  tree,
  type Value,
  valueAndGrad,
  vjp,
  vmap,
  where,
  whileLoop,
} from 'cotangent'
import { describe, expect, test, vi } from 'vitest'
import { control } from '../golden-programs/control.ts'
import { custom } from '../golden-programs/custom.ts'
import type { Programs } from '../golden-programs/functions.ts'
import { type GoldenArray, golden, ofGolden } from '../support/golden.ts'
import { toHosts, toTensors } from '../support/host.ts'

const own = fileURLToPath(import.meta.url)
const text = (await readFile(own, 'utf8')).split('\n')

const { checked, NanError } = debug
const v3 = tensor([1, -2, 3])
const v2 = tensor([0, 1])

/** The square root with a rule that divides by it. */
const root = customVjp(
  (x: Value) => x.sqrt(),
  (x: Value) => [x.sqrt(), x],
  (x: Value, ct: Value) => {
    const slope = div(x, mul(x, x.sqrt())) // of the user's rule
    return [ct.mul(slope)]
  },
)

/** What makes a NaN, one in each. */
const makers: Readonly<Record<string, () => Value>> = {
  'outside of jit': () => checked((x: Value) => log(x))(v3),
  'in jit': () => checked(jit((x: Value) => log(x).add(1).sum()))(v3),
  'in a part of jit': () => jit((x: Value) => checked((x: Value) => log(x).add(1))(x.mul(2)))(v3),
  'in the middle, and further on': () =>
    checked(
      jit((x: Value) => {
        const scaled = x.mul(2)
        const roots = sqrt(scaled)
        return roots.add(log(x)).sum()
      }),
    )(v3),
  'of infinities': () =>
    checked((x: Value) => {
      const large = div(1, x)
      return sub(large, large.mul(x.add(1))) // a driver may take y - y for 0
    })(v2),
  'in vmap': () => checked(jit(vmap((x: Value) => log(x).mul(2))))(v3),
  'in jvp': () => checked(jit((x: Value) => jvp((x: Value) => sqrt(x), [x], [x])[1]))(v2),
  'in grad, forward': () => checked(jit(grad((x: Value) => sum(log(x).square()))))(v3),
  'in grad, backward': () =>
    checked(
      jit(
        grad((x: Value) => {
          const squares = x.mul(x)
          return sum(sqrt(squares))
        }),
      ),
    )(v2),
  'in grad, behind a where': () => checked(grad((x: Value) => sum(where(x.greater(0), sqrt(x), 0))))(v3),
  'in grad outside of jit': () => checked((x: Value) => valueAndGrad((x: Value) => sum(log(x)))(x)[1])(v3),
  'in vjp': () =>
    checked((x: Value) => {
      const [y, back] = vjp((x: Value) => sqrt(x), x)
      return back(y)[0]
    })(v2),
  'in scan': () =>
    checked(jit((xs: Value) => scan((c: Value, x: Value) => [c.add(log(x)), c], tensor(0), xs)[0]))(v3),
  'in the slices of scan': () =>
    checked(jit((xs: Value) => scan((c: Value, x: Value) => [c.add(x), log(c)], tensor(0), xs)[1].sum()))(v3),
  'in the gradient of scan': () =>
    checked(
      jit(grad((xs: Value) => scan((c: Value, x: Value) => [c.add(sqrt(x.mul(x))), null], tensor(0), xs)[0])),
    )(v2),
  'in a batch of scans': () =>
    checked(
      vmap((start: Value) => scan((c: Value, x: Value) => [c.add(log(c.add(x))), null], start, v2.add(1))[0]),
    )(v3),
  'in a branch': () =>
    checked(
      jit((x: Value) =>
        cond(
          x.less(0),
          (x: Value) => log(x),
          (x: Value) => x,
          x,
        ),
      ),
    )(tensor(-1)),
  'in the gradient of a branch': () =>
    checked(
      jit(
        grad((x: Value) =>
          switchCase(tensor(1, { dtype: 'i32' }), [(x: Value) => x, (x: Value) => sqrt(x).mul(x)], x),
        ),
      ),
    )(tensor(0)),
  'in whileLoop': () =>
    checked(
      jit((x: Value) =>
        whileLoop(
          (x) => x.greater(-1),
          (x) => log(x.sub(2)),
          x,
        ),
      ),
    )(tensor(3)),
  'in a loop with a bound, backward': () =>
    checked(
      grad((x: Value) =>
        whileLoop(
          (x) => x.less(1),
          (x) => sqrt(x.mul(x)).add(1),
          x,
          { maxIterations: 3 },
        ),
      ),
    )(tensor(0)),
  'in what is computed again': () => checked(jit(grad(checkpoint((x: Value) => sum(sqrt(x).mul(x))))))(v2),
  'in a rule of the user': () => checked(jit(grad((x: Value) => sum(root(x)))))(v2),
}

async function rejection(f: () => Value): Promise<unknown> {
  try {
    return await f().data()
  } catch (error) {
    return error
  }
}

function lineAt(source: string | null): string {
  const [, file, line] = /^(.*):(\d+):\d+$/.exec(source ?? '') ?? []
  expect(own.endsWith(file ?? 'unknown')).toBe(true)
  return text[Number(line) - 1]!.trim()
}

describe('a NaN', () => {
  test('is said with its equation and the line, wherever it is made', async () => {
    const shown: string[] = []
    for (const [name, f] of Object.entries(makers)) {
      const error = await rejection(f)
      if (!(error instanceof NanError)) throw new Error(`${name}: ${error}`)
      const { equation, source, operation } = error
      expect(equation).toContain(` = ${operation} `)
      shown.push(`${name}\n  ${equation}\n  > ${lineAt(source)}`)
    }
    expect(shown.join('\n')).toMatchInlineSnapshot(`
      "outside of jit
        f32[3] = log f32[3]
        > 'outside of jit': () => checked((x: Value) => log(x))(v3),
      in jit
        f32[3] = log f32[3]
        > 'in jit': () => checked(jit((x: Value) => log(x).add(1).sum()))(v3),
      in a part of jit
        f32[3] = log f32[3]
        > 'in a part of jit': () => jit((x: Value) => checked((x: Value) => log(x).add(1))(x.mul(2)))(v3),
      in the middle, and further on
        f32[3] = sqrt f32[3]
        > const roots = sqrt(scaled)
      of infinities
        f32[2] = sub f32[2] f32[2]
        > return sub(large, large.mul(x.add(1))) // a driver may take y - y for 0
      in vmap
        f32[3] = log f32[3]
        > 'in vmap': () => checked(jit(vmap((x: Value) => log(x).mul(2))))(v3),
      in jvp
        f32[2] = div f32[2] f32[2]
        > 'in jvp': () => checked(jit((x: Value) => jvp((x: Value) => sqrt(x), [x], [x])[1]))(v2),
      in grad, forward
        f32[3] = log f32[3]
        > 'in grad, forward': () => checked(jit(grad((x: Value) => sum(log(x).square()))))(v3),
      in grad, backward
        f32[2] = mul f32[2] f32[2]
        > const squares = x.mul(x)
      in grad, behind a where
        f32[3] = sqrt f32[3]
        > 'in grad, behind a where': () => checked(grad((x: Value) => sum(where(x.greater(0), sqrt(x), 0))))(v3),
      in grad outside of jit
        f32[3] = log f32[3]
        > 'in grad outside of jit': () => checked((x: Value) => valueAndGrad((x: Value) => sum(log(x)))(x)[1])(v3),
      in vjp
        f32[2] = div f32[2] f32[2]
        > const [y, back] = vjp((x: Value) => sqrt(x), x)
      in scan
        f32[] = log f32[]
        > checked(jit((xs: Value) => scan((c: Value, x: Value) => [c.add(log(x)), c], tensor(0), xs)[0]))(v3),
      in the slices of scan
        f32[] = log f32[]
        > checked(jit((xs: Value) => scan((c: Value, x: Value) => [c.add(x), log(c)], tensor(0), xs)[1].sum()))(v3),
      in the gradient of scan
        f32[] = mul f32[] f32[]
        > jit(grad((xs: Value) => scan((c: Value, x: Value) => [c.add(sqrt(x.mul(x))), null], tensor(0), xs)[0])),
      in a batch of scans
        f32[3] = log f32[3]
        > vmap((start: Value) => scan((c: Value, x: Value) => [c.add(log(c.add(x))), null], start, v2.add(1))[0]),
      in a branch
        f32[] = log f32[]
        > (x: Value) => log(x),
      in the gradient of a branch
        f32[] = div f32[] f32[]
        > switchCase(tensor(1, { dtype: 'i32' }), [(x: Value) => x, (x: Value) => sqrt(x).mul(x)], x),
      in whileLoop
        f32[] = log f32[]
        > (x) => log(x.sub(2)),
      in a loop with a bound, backward
        f32[] = mul f32[] f32[]
        > (x) => sqrt(x.mul(x)).add(1),
      in what is computed again
        f32[2] = div f32[2] f32[2]
        > 'in what is computed again': () => checked(jit(grad(checkpoint((x: Value) => sum(sqrt(x).mul(x))))))(v2),
      in a rule of the user
        f32[2] = div f32[2] f32[2]
        > const slope = div(x, mul(x, x.sqrt())) // of the user's rule"
    `)
  })

  test('that an argument brings is not made', async () => {
    const double = checked(jit((x: Value) => log(x).mul(2)))
    expect([...(await double(tensor([Number.NaN, 1])).data())]).toEqual([Number.NaN, 0])
  })

  test('that reaches no result is no fault', async () => {
    const masked = checked(jit((x: Value) => where(x.greater(0), log(x), 7)))
    expect([...(await masked(tensor([-1, 1])).data())]).toEqual([7, 0])
    const branch = checked(jit((x: Value) => cond(x.less(0), log, (x: Value) => x, x)))
    expect(await branch(tensor(2)).item()).toBe(2)
  })

  test('rejects what depends on it, and nothing else; the memory comes back', async () => {
    const f = jit((x: Value) => log(x))
    const good = tensor([1])
    const run = async () => {
      const bad = tensor([-1])
      const y = checked(f)(bad)
      const z = y.mul(2)
      const error = await rejection(() => z)
      expect(error).toBeInstanceOf(NanError)
      expect(await rejection(() => y)).toBe(error)
      expect([...(await checked(f)(good).data())]).toEqual([0])
      for (const x of [bad, y, z]) (x as typeof bad).dispose()
    }
    await run()
    await synchronize()
    const { live } = await memory()
    for (let k = 0; k < 5; k++) await run()
    await synchronize()
    expect((await memory()).live.bytes - live.bytes).toBeLessThanOrEqual(5 * 256) // what checked(f)(good) made
  })

  test('is looked for in checking mode only, and programs are made once', async () => {
    const f = jit((x: Value) => log(x).mul(3))
    const x = tensor([-1])
    expect([...(await f(x).data())]).toEqual([Number.NaN])
    for (let k = 0; k < 3; k++) expect(await rejection(() => checked(f)(x))).toBeInstanceOf(NanError)
    const { pipelines } = await statistics()
    expect(await rejection(() => checked(f)(x))).toBeInstanceOf(NanError)
    expect([...(await f(x).data())]).toEqual([Number.NaN])
    expect((await statistics()).pipelines).toBe(pipelines)
  })
})

describe('what is right', () => {
  interface Golden {
    readonly programs: readonly { readonly name: string; readonly in: readonly GoldenArray[] }[]
  }
  const { programs } = golden<Golden>('programs.json')
  const ours: Programs = { ...control, ...custom }

  test.for(programs.filter(({ name }) => name in ours).map((program) => [program.name, program] as const))(
    '%s: is computed, and nothing is said',
    async ([name, program]) => {
      const warn = vi.spyOn(console, 'warn')
      const f = jit((...xs: Value[]) => tree.leaves(ours[name]!(...xs)) as Value[])
      const inputs = toTensors(program.in.map(ofGolden)) as Value[]
      try {
        await toHosts(checked(f)(...inputs))
      } finally {
        expect(warn.mock.calls).toEqual([])
        warn.mockRestore()
      }
    },
  )
})

describe('a key', () => {
  const warnings = (f: () => unknown): number => {
    const warn = vi.spyOn(console, 'warn').mockImplementation(() => {})
    f()
    const { length } = warn.mock.calls
    warn.mockRestore()
    return length
  }

  test('that is used twice is warned of, once for each pair of lines', () => {
    const use = (key: Value) => {
      random.uniform(key)
      random.uniform(key)
    }
    expect(warnings(() => use(random.key(0)))).toBe(0)
    expect(warnings(() => checked(use)(random.key(0)))).toBe(1)
    expect(warnings(() => checked(use)(random.key(0)))).toBe(0)
    expect(
      warnings(() => checked(jit((key: Value) => random.bits(key).add(random.bits(key))))(random.key(0))),
    ).toBe(1)
  })

  test('that is split, or folded into others, is not', () => {
    const use = (key: Value) => {
      const [a, b] = random.split(key).unstack() as [Value, Value]
      return random
        .uniform(random.foldIn(a, 0))
        .add(random.uniform(random.foldIn(a, 1)))
        .add(random.uniform(b))
    }
    expect(warnings(() => checked(use)(random.key(0)))).toBe(0)
    expect(warnings(() => checked(jit(use))(random.key(0)))).toBe(0)
  })
})
