// The compiler: graph → expanded and simplified graph → groups → loop nests → WGSL and a plan. Pure text and numbers, no device.

import type { Graph } from '../graph.ts'
import { expand } from './expand.ts'
import { fuse } from './fuse.ts'
import { type Plan, plan } from './plan.ts'
import { simplify } from './simplify.ts'

/** Compiles a graph for a device on which a kernel may read `maxInputs` arrays. */
export function compile(graph: Graph, maxInputs: number): Plan {
  const simple = simplify(expand(graph))
  return plan(simple, fuse(simple, maxInputs))
}
