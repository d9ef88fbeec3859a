// Initial values of weights.

import { random, type Value } from '../core/index.ts'

/** PyTorch's default for a linear layer, `kaiming_uniform_(a=√5)`: uniform within ±1/√in. `[out, in]`. */
export function kaimingUniform(key: random.Key, [out, inputs]: readonly [number, number]): Value {
  const bound = 1 / Math.sqrt(inputs)
  return random.uniform(key, [out, inputs], { minval: -bound, maxval: bound })
}
