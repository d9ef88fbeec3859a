// Gradients of scalar functions of trees, against central differences along random directions.

import { tree } from '../../core/index.ts'
import { expectClose } from './close.ts'
import { type HostArray, inner, moved, toNdArray } from './host.ts'
import { floats } from './inputs.ts'

const epsilon = 3e-6
const leavesOf = (hosts: unknown): HostArray[] => tree.leaves(hosts) as HostArray[]

/** Fails unless `gradient` is that of `f` at `at`, along as many directions as asked for. */
export function expectGradient<T>(
  f: (at: T) => HostArray,
  gradient: T,
  at: T,
  random: () => number,
  directions = 3,
): void {
  for (let k = 0; k < directions; k++) {
    const direction = leavesOf(at).map(({ shape }) => floats(shape).draw(random))
    const shifted = (scale: number): number => {
      const leaves = leavesOf(at).map((leaf, i) => moved(leaf, direction[i]!, scale))
      return f(tree.unflatten(at, leaves) as unknown as T).data[0]!
    }
    const slope = (shifted(epsilon) - shifted(-epsilon)) / (2 * epsilon)
    const actual = toNdArray([inner(leavesOf(gradient), direction)])
    expectClose(actual, toNdArray([slope]), { relative: 1e-6, absolute: 1e-8 }, `direction ${k}`)
  }
}
