// Laws that every primitive obeys, on each row of `primitives.table.ts`.

import { describe, expect, test } from 'vitest'
import { Aval, makeGraph, type Value } from '../../core/index.ts'
import * as ops from '../../core/ops/index.ts'
import { describeLaws } from './laws.ts'
import { primitiveOf, type Row, rows } from './primitives.table.ts'

type Values = readonly Value[]

for (const [k, row] of rows.entries()) describeLaws(row, k, primitiveOf(row.name) !== undefined)

describe('the table', () => {
  test('has a row for every operation', () => {
    const named = new Set<string>(rows.map(({ name }) => name))
    expect(Object.keys(ops).filter((name) => !named.has(name))).toEqual([])
  })

  test('runs the primitive it names, and says where it is linear', () => {
    const linear = new Map<string, boolean>()
    const run = new Set<string>()
    for (const { name, f, inputs, linearIn = [] } of rows) {
      const primitive = primitiveOf(name)
      if (primitive === undefined) continue
      const avals = inputs.map(({ shape, dtype }) => new Aval(shape, dtype))
      const { equations } = makeGraph(f)(...(avals as unknown as Values))
      if (equations.some((equation) => equation.primitive.name === primitive.name)) run.add(name)
      linear.set(name, linear.get(name) || linearIn.length > 0)
    }
    expect([...linear.keys()].filter((name) => !run.has(name))).toEqual([])
    const transposed = [...linear].filter(
      ([name]) => primitiveOf(name as Row['name'])!.transpose !== undefined,
    )
    expect([...linear].filter(([, isLinear]) => isLinear)).toEqual(transposed)
  })
})
