// Two programs that show what the CPU can do: multiplications and additions that need nothing else, and a copy. Every thread does
// as much as any other.

import { moduleOf } from './encoder.ts'
import type { Instruction } from './instructions.ts'
import { barrier } from './program.ts'

const [thread, threads, frame] = [0, 1, 2]
const wait: Instruction[] = [
  ['local.get', frame],
  ['i32.load', 12],
  ['local.get', threads],
  ['call', 1],
]

/** Sums of four lanes that do not wait for each other, and turns of a run. */
const chains = 12
const turns = 2 ** 20

const range = (length: number): number[] => Array.from({ length }, (_, k) => k)
const sum = (k: number): number => 5 + k
const [counter, factor] = [3, 4]

const loop = (count: Instruction, body: readonly Instruction[], by: number): Instruction[] => [
  ['loop'],
  ...body,
  ['local.get', counter],
  ['i32.const', by],
  ['i32.add'],
  ['local.tee', counter],
  count,
  ['i32.lt_u'],
  ['br_if', 0],
  ['end'],
]

const program = (
  locals: readonly ('i32' | 'v128')[],
  code: readonly Instruction[],
): Uint8Array<ArrayBuffer> =>
  moduleOf([
    barrier(),
    { name: 'run', params: ['thread', 'threads', 'frame'], locals, code: [...code, ...wait] },
  ])

/** Operations of each thread. What the sums come to is stored in the frame's first array, where it is no matter. */
export const arithmeticProgram = {
  bytes: program(
    ['i32', 'v128', ...range(chains).map(() => 'v128' as const)],
    [
      ['v128.const', 0x3f000000],
      ['local.set', factor],
      ...loop(
        ['i32.const', turns],
        range(chains).flatMap((k): Instruction[] => [
          ['local.get', sum(k)],
          ['local.get', factor],
          ['f32x4.mul'],
          ['local.get', factor],
          ['f32x4.add'],
          ['local.set', sum(k)],
        ]),
        1,
      ),
      ['local.get', frame],
      ['i32.load', 0],
      ['local.get', thread],
      ['i32.const', 16],
      ['i32.mul'],
      ['i32.add'],
      ['local.get', sum(0)],
      ...range(chains - 1).flatMap((k): Instruction[] => [['local.get', sum(k + 1)], ['f32x4.add']]),
      ['v128.store', 0],
    ],
  ),
  operations: turns * chains * 8,
} as const

/** Bytes that each thread copies: more than most caches hold. */
const copied = 2 ** 25

/** Copies from the frame's first array to the second, each of so many bytes for every thread. */
export const copyProgram = {
  bytes: program(
    ['i32', 'i32', 'i32', 'i32'],
    [
      ...[0, 1].flatMap((k): Instruction[] => [
        ['local.get', frame],
        ['i32.load', 4 * k],
        ['local.get', thread],
        ['i32.const', copied],
        ['i32.mul'],
        ['i32.add'],
        ['local.set', 4 + k],
      ]),
      ...loop(
        ['i32.const', copied],
        [
          ...[0, 16, 32, 48].flatMap((offset): Instruction[] => [
            ['local.get', 5],
            ['local.get', counter],
            ['i32.add'],
            ['local.get', 4],
            ['local.get', counter],
            ['i32.add'],
            ['v128.load', offset],
            ['v128.store', offset],
          ]),
        ],
        64,
      ),
    ],
  ),
  copied,
} as const
