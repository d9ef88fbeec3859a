// Graph → graph: equations whose records know a cheaper way than one kernel are done that way.

import { type Graph, interpret } from '../graph.ts'
import { bind, trace } from '../trace.ts'
import { Constant, type Value } from '../value.ts'

export function expand(graph: Graph): Graph {
  if (!graph.equations.some(({ primitive }) => primitive.expand !== undefined)) return graph
  const count = graph.inputs.length
  const run = (...values: Value[]): Value[] =>
    interpret<Value>(
      graph,
      values.slice(0, count),
      values.slice(count),
      ({ primitive, params }, inputs) =>
        primitive.expand?.(inputs, params) ?? bind(primitive, inputs, params),
      ({ value, aval }) => new Constant(value, aval),
    )
  const types = [...graph.inputs, ...graph.captures].map(({ aval }) => aval)
  const expanded = trace('compile', run, types as unknown as Value[]).graph
  const [inputs, captures] = [expanded.inputs.slice(0, count), expanded.inputs.slice(count)]
  return { ...expanded, inputs, captures }
}
