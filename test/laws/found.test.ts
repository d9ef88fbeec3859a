// What random programs found, smaller: each obeys all laws now.

import {
  checkpoint,
  customJvp,
  index,
  jvp,
  mul,
  scan,
  sin,
  stack,
  sum,
  tanh,
  type Value,
  zerosLike,
} from '../../index.ts'
import { floats } from '../support/inputs.ts'
import { describeLaws, type Row } from './laws.ts'

const few = { relative: 4e-6, absolute: 2e-6 }
const own = (f: (x: Value) => Value) => customJvp(f, ([x], [t]) => jvp(f, [x], [t]))

const turned = (init: Value, x: Value): Value =>
  scan((c: Value, y: Value) => [tanh(mul(c, y)), null], init, x)[0]

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
  {
    name: 'single elements that share a kernel, of which one is read by a loop that another one waits for',
    f: (x) => {
      const c = turned(turned(sin(turned(index(x, 0), x)), x), x)
      const d = turned(sin(turned(index(x, 1), x)), x)
      return stack([c, d])
    },
    inputs: [floats([3])],
    budget: few,
  },
]

for (const [k, row] of found.entries()) describeLaws(row, k, false)
