// What random programs found, smaller: each obeys all laws now.

import {
  checkpoint,
  customJvp,
  index,
  jvp,
  mul,
  scan,
  sum,
  tanh,
  type Value,
  zerosLike,
} from '../../index.ts'
import { floats } from '../support/inputs.ts'
import { describeLaws, type Row } from './laws.ts'

const few = { relative: 4e-6, absolute: 2e-6 }
const own = (f: (x: Value) => Value) => customJvp(f, ([x], [t]) => jvp(f, [x], [t]))

const found: readonly Row[] = [
  {
    name: 'customJvp: a scan within the rule, whose carry mixes values and tangents',
    f: own((x) => scan((c: Value, y: Value) => [tanh(mul(c, y)), null], index(x, 0), x)[0]),
    inputs: [floats([3, 2])],
    budget: few,
  },
  {
    name: 'customJvp: results that turn out to be constants are results all the same',
    f: own(zerosLike),
    inputs: [floats([3])],
    budget: few,
  },
  {
    name: 'checkpoint: so are those of a checkpoint',
    f: (x) => sum(mul(checkpoint((x: Value) => zerosLike(x))(x), x)),
    inputs: [floats([3])],
    budget: few,
  },
]

for (const [k, row] of found.entries()) describeLaws(row, k, false)
