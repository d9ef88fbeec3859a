// The kernels and plans of typical graphs as text, so that a change of the compiler shows what it changed.

import {
  type Aval,
  add,
  at,
  concatenate,
  contract,
  div,
  evalShape,
  exp,
  flip,
  grad,
  logSumExp,
  makeGraph,
  matmul,
  mean,
  mul,
  pad,
  printGraph,
  random,
  softmax,
  sum,
  take,
  tanh,
  transpose,
  type Value,
  where,
  zeros,
} from 'cotangent'
import { crossEntropy, linear, rmsNorm, rotate, swiglu } from 'cotangent/nn'
import { expect, test } from 'vitest'
import { compile, compileWasm } from '../../core/compile/index.ts'
import { show } from '../../core/compile/wasm/encoder.ts'
import { showProgram } from '../../core/compile/wasm/program.ts'
import { plainTiling } from '../../core/compile/wgsl/tiling.ts'
import { Writer } from '../../core/compile/wgsl/writer.ts'

const f32 = (...shape: number[]): Value => zeros(shape)
const i32 = (...shape: number[]): Value => zeros(shape, 'i32')

const rows: readonly (readonly [string, (...args: never[]) => unknown, readonly Value[]])[] = [
  ['copy', (x: Value) => x, [f32(8)]],
  ['element-wise chain', (x: Value, y: Value) => tanh(add(mul(x, y), 1)), [f32(8, 16), f32(16)]],
  ['odd size', (x: Value) => mul(x, 2), [f32(3, 5)]],
  ['transpose', (x: Value) => mul(transpose(x), 2), [f32(8, 12)]],
  ['pad and flip', (x: Value) => pad(flip(x), { before: [1], after: [2] }), [f32(9)]],
  ['concatenate', (x: Value, y: Value) => concatenate([x, y]), [f32(4), f32(8)]],
  ['gather', (x: Value, ids: Value) => take(x, ids, { mode: 'clip' }), [f32(32, 8), i32(5)]],
  ['gather, NaN outside', (x: Value, ids: Value) => take(x, ids), [f32(32, 8), i32(5)]],
  [
    'gradient of gather',
    (x: Value, ids: Value) => grad((x: Value) => sum(take(x, ids, { mode: 'clip' }).exp()))(x),
    [f32(32, 8), i32(5)],
  ],
  ['updates', (x: Value, ids: Value, y: Value) => at(x, ids).set(y), [f32(32, 8), i32(5), f32(5, 8)]],
  ['row sum with prologue', (x: Value) => sum(mul(x, x), { axis: 1 }), [f32(16, 64)]],
  ['column sum', (x: Value) => sum(x, { axis: 0 }), [f32(16, 64)]],
  ['long sum', (x: Value) => sum(x), [f32(1 << 20)]],
  ['softmax', (x: Value) => softmax(x), [f32(16, 64)]],
  ['logSumExp', (x: Value) => logSumExp(x, { axis: -1 }), [f32(16, 64)]],
  ['rmsNorm', (x: Value, w: Value) => rmsNorm(x, w, { eps: 1e-5 }), [f32(16, 64), f32(64)]],
  ['matmul', (x: Value, y: Value) => matmul(x, y), [f32(32, 16), f32(16, 24)]],
  [
    'linear with epilogue',
    (x: Value, w: Value, y: Value) => add(y, linear(x, w)),
    [f32(32, 16), f32(24, 16), f32(32, 24)],
  ],
  ['odd product', (x: Value, w: Value) => linear(x, w), [f32(3, 7), f32(5, 7)]],
  ['one row', (x: Value, w: Value) => linear(x, w), [f32(1, 64), f32(64, 64)]],
  [
    'batched product, permuted result',
    (q: Value, k: Value) => contract('btkgd,bskd->bkgts', q, k),
    [f32(1, 8, 2, 2, 4), f32(1, 8, 2, 4)],
  ],
  [
    'swiglu',
    (x: Value, gate: Value, up: Value, down: Value) => swiglu(x, { gate, up, down }),
    [f32(8, 16), f32(32, 16), f32(32, 16), f32(16, 32)],
  ],
  [
    'rotate',
    (x: Value, cos: Value, sin: Value) => rotate(x, { cos, sin }),
    [f32(1, 4, 2, 8), f32(4, 8), f32(4, 8)],
  ],
  ['cross-entropy and gradient', grad((x: Value, y: Value) => crossEntropy(x, y)), [f32(16, 32), i32(16)]],
  ['uniform', (key: Value) => random.uniform(key, [4]), [zeros([2], 'u32')]],
  [
    'many leaves',
    (...xs: Value[]) => {
      const factor = div(
        1,
        xs.map((x) => sum(mul(x, x))).reduce((a, b) => add(a, b)),
      )
      return xs.map((x) => mul(x, factor))
    },
    [f32(3), f32(8, 9), f32(), f32(1000), f32(64)],
  ],
  ['mask', (x: Value) => where(x.greater(0), exp(x), mean(x)), [f32(64)]],
]

interface Place {
  readonly kind: string
  readonly index: number
  readonly part?: { readonly offset: number }
}

test.each(rows)('%s', (_name, f, args) => {
  const graph = makeGraph(f as (...args: Value[]) => unknown)(...args)
  const { steps, slots } = compile(graph, 8)
  const dispatches = steps.flatMap((step) => (step.kind === 'dispatch' ? [step] : []))
  const show = dispatches.map(({ name, wgsl, inputs, outputs, workgroups }) => {
    const place = ({ kind, index, part }: Place): string =>
      part === undefined ? `${kind} ${index}` : `${kind} ${index} from ${part.offset}`
    return `${name}: ${inputs.map(place).join(', ')} -> ${outputs.map(place).join(', ')}, workgroups ${workgroups}\n${wgsl}`
  })
  expect([printGraph(graph), `slots ${slots}`, ...show].join('\n\n')).toMatchSnapshot()
})

test.each(rows)('%s, in WebAssembly', (_name, f, args) => {
  const graph = makeGraph(f as (...args: Value[]) => unknown)(...args)
  const [, ...own] = showProgram(compileWasm(graph)).split('\n\n') // the first waits for other threads
  const lines = own.join('\n\n').split('\n') // of long kernels the beginning will do
  expect(lines.slice(0, 200).join('\n')).toMatchSnapshot()
})

test('threads wait for each other', () => {
  const { functions } = compileWasm(makeGraph((x: Value) => exp(x))(f32(4)))
  expect(functions.map(({ name }) => name)).toEqual(['barrier', 'exp', 'run'])
  expect(show(functions[0]!)).toMatchSnapshot()
})

test('a product of threads that exchange values by fours', () => {
  const f = (x: Value, y: Value, z: Value) => [matmul(x, y), add(matmul(x, z), 1)]
  const { steps } = compile(makeGraph(f)(f32(32, 16), f32(16, 24), f32(16, 24)), 8, {
    hidesTurns: false,
    quads: true,
    large: null,
  })
  const texts = steps.map((step) => (step.kind === 'dispatch' ? step.wgsl : step.kind))
  expect(texts.join('\n')).toMatchSnapshot()
})

test.each(rows)('no driver can unroll a loop of %s where it must not', (_name, f, args) => {
  const graph = makeGraph(f as (...args: Value[]) => unknown)(...args)
  const { steps } = compile(graph, 8, { ...plainTiling, hidesTurns: true })
  for (const step of steps)
    if (step.kind === 'dispatch') expect(step.wgsl).not.toMatch(/for \(var \w+ = \d+u; \w+ < \d+u;/)
})

test('shapes are known without computing', () => {
  const out = evalShape((x: Value) => softmax(x))(f32(3, 4)) as unknown as Aval
  expect(String(out)).toBe('f32[3,4]')
})

test('no name hides a type', () => {
  const writer = new Writer(() => ({ grain: 'element', size: 1 }), plainTiling)
  const names = Array.from({ length: 40 }, (_, k) => writer.name(`a * ${k}`, 'i'))
  expect(names).not.toContain('i32')
  expect(new Set(names).size).toBe(40)
})
