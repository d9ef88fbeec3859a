// Everyone who is timed; the library comes first, and is right.

import type { Contender } from './contender.ts'
import { cotangent, unfused } from './cotangent.ts'
import { jaxJs, jaxJsWasm } from './jax-js.ts'
import { tfjs } from './tfjs.ts'
import { wgsl, wgslUnchecked } from './wgsl.ts'

export const contenders: readonly Contender[] = [
  cotangent,
  unfused,
  jaxJs,
  jaxJsWasm,
  tfjs,
  wgsl,
  wgslUnchecked,
]
