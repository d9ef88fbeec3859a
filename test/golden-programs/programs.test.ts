// Whole programs are those of JAX: the meaning agrees with JAX in float64, and the device with both of its precisions.

import { describe, expect, test } from 'vitest'
import { jit, tree, type Value } from '../../index.ts'
import { type Budget, expectClose } from '../support/close.ts'
import { type GoldenArray, golden, ofGolden } from '../support/golden.ts'
import { type HostArray, toHosts, toNdArray, toTensors } from '../support/host.ts'
import { oracle } from '../support/oracle.ts'
import { chance } from './chance.ts'
import { control } from './control.ts'
import { custom } from './custom.ts'
import { roundedConstants } from './differences.ts'
import { examples, maml } from './examples.ts'
import type { Programs } from './functions.ts'
import { implicit } from './implicit.ts'
import { indexing } from './indexing.ts'
import { networks } from './networks.ts'
import { products } from './products.ts'
import { second } from './second.ts'
import { sorting } from './sorting.ts'
import { surface } from './surface.ts'
import { transforms } from './transforms.ts'

interface Golden {
  readonly programs: readonly {
    readonly name: string
    readonly group: string
    readonly in: readonly GoldenArray[]
    readonly out: readonly GoldenArray[]
    /** The floats among the results in float64, if the program's numbers are not float32 by definition. */
    readonly out64?: readonly (readonly (number | string)[])[]
  }[]
}

const jax = golden<Golden>('programs.json').programs

const groups: Readonly<Record<string, Programs>> = {
  transforms,
  'control flow': control,
  'custom rules': custom,
  products,
  indexing,
  sorting,
  'second order': second,
  implicit,
  'per example': examples,
  maml,
  networks,
  random: chance,
  numpy: surface,
}

test('every program of JAX has its counterpart', () => {
  const ours = Object.entries(groups).flatMap(([group, programs]) =>
    Object.keys(programs).map((name) => `${group}: ${name}`),
  )
  expect(ours.sort()).toEqual(jax.map(({ group, name }) => `${group}: ${name}`).sort())
  expect(jax.map(({ name }) => name)).toEqual(expect.arrayContaining(Object.keys(roundedConstants)))
})

/** What both precisions of JAX say, as arrays: in float64 where there is that, else in float32. */
function expectedOf({ out, out64 }: Golden['programs'][number]): HostArray[] {
  const wide = [...(out64 ?? [])]
  return out.map((y) => {
    const data = y.dtype === 'float32' ? wide.shift() : undefined
    return data ? toNdArray(data.map(Number), y.shape) : ofGolden(y)
  })
}

/** A share of every element, and of the largest one. */
const within = ({ data }: HostArray, share: number): Budget => {
  const largest = data.reduce((most, x) => (Number.isFinite(x) ? Math.max(most, Math.abs(x)) : most), 0)
  return { relative: share, absolute: share * largest }
}

function expectAll(found: unknown, expected: readonly HostArray[], share: number, what: string): void {
  const leaves = tree.leaves(found) as HostArray[]
  expect(leaves.length, `${what}: leaves`).toBe(expected.length)
  for (const [k, y] of expected.entries())
    expectClose(leaves[k]!, y, within(y, share), `${what}, result ${k}`)
}

/** Fails unless `f`, in double precision and on the device, gives what JAX gives. */
async function compare(f: Programs[string], program: Golden['programs'][number]): Promise<void> {
  const inputs = program.in.map(ofGolden)
  const expected = expectedOf(program)
  const called = (...xs: Value[]) => tree.leaves(f(...xs)) as Value[]
  const meaning = oracle(called, inputs)(...inputs)
  const exact = () => expectAll(meaning, expected, program.out64 ? 1e-9 : 1e-6, 'the meaning')
  if (program.name in roundedConstants) {
    expect(exact, roundedConstants[program.name]).toThrow()
    expectAll(meaning, expected, 1.2e-7, 'the meaning, with rounded constants')
  } else exact()
  const found = await toHosts(jit(called)(...(toTensors(inputs) as Value[])))
  expectAll(found, expected, 3e-6, 'the device, by float64')
  expectAll(found, program.out.map(ofGolden), 4e-6, 'the device, by float32')
}

describe.each(Object.entries(groups))('%s', (group, programs) => {
  const named = jax
    .filter((program) => program.group === group)
    .map((program) => [program.name, program] as const)
  test.for(named)('%s', async ([name, program]) => {
    await compare(programs[name]!, program)
  })
})
