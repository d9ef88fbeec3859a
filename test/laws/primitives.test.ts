// Laws that every primitive obeys, on each row of `primitives.table.ts`. Transforms are programs over graphs, so what they
// mean is checked in double precision; the device is checked to compute the graphs they make.

import { beforeAll, describe, expect, test } from 'vitest'
import { grad, jvp, vjp, vmap } from '../../autodiff/index.ts'
import { transposeTape } from '../../autodiff/linearize.ts'
import { jit, makeGraph, mul, sum, trace, tree, type Value } from '../../core/index.ts'
import * as ops from '../../core/ops/index.ts'
import { type Budget, expectClose } from '../support/close.ts'
import { type HostArray, inner, moved, stacked, toHosts, toTensors } from '../support/host.ts'
import { generator } from '../support/inputs.ts'
import { oracle } from '../support/oracle.ts'
import { primitiveOf, type Row, rows } from './primitives.table.ts'

const epsilon = 1e-5
const differences: Budget = { relative: 1e-6, absolute: 1e-6 }
const double: Budget = { relative: 1e-9, absolute: 1e-9 }
/** What a few roundings to f32 leave of numbers around 1. */
const single: Budget = { relative: 1e-5, absolute: 1e-5 }
const batchSize = 3

/** A row with numbers: points, directions and weights of the results, and batches of points. */
function drawn(row: Row, k: number) {
  const random = generator(k)
  const draw = (): HostArray[] => row.inputs.map((domain) => domain.draw(random))
  const [xs, vs] = [draw(), draw()]
  const f = oracle(row.f, xs)
  const y = f(...xs)
  const u = y.dtype === 'f32' ? row.inputs.length : 0
  return { xs, vs, f, y, u }
}
