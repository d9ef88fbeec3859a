// Graph → Graph without equations that are programs themselves: those are written out in their place. What stands in a branch
// gets a guard, so that it runs only if the branch was chosen. Loops stay; their bodies are programs of their own.

import { type Equation, type Graph, interpret, type Var } from '../graph.ts'
import { Builder } from '../trace.ts'
import { Constant, type Value } from '../value.ts'

/** `graph` written out. With `guard`, an input of the graph, nothing in it runs unless that is true. */
export function inline(graph: Graph, guard?: Var): Graph {
  const isProgram = ({ primitive: { lower } }: Equation): boolean =>
    lower.kind === 'inline' || lower.kind === 'branches'
  if (guard === undefined && !graph.equations.some(isProgram)) return graph
  const builder = new Builder()
  const inputs = graph.inputs.map(({ aval }) => builder.input(aval))
  const captures = graph.captures.map(({ aval }) => builder.input(aval))
  const outer = guard && inputs[graph.inputs.indexOf(guard)]!
  const { graph: written } = builder.finish(
    builder.record(() => write(builder, graph, inputs, captures, outer)),
  )
  const { length } = graph.inputs
  return { ...written, inputs: written.inputs.slice(0, length), captures: written.inputs.slice(length) }
}

function write(
  builder: Builder,
  graph: Graph,
  inputs: readonly Value[],
  captures: readonly Value[],
  guard: Value | undefined,
): Value[] {
  return interpret<Value>(
    graph,
    inputs,
    captures,
    ({ primitive, params }, inputs) => {
      const { lower } = primitive
      if (lower.kind === 'inline') return write(builder, lower.graph(params), inputs, [], guard)
      if (lower.kind !== 'branches') return builder.emit(primitive, inputs, params, guard)
      const [choice, ...operands] = inputs as [Value, ...Value[]]
      const graphs = lower.graphs(params)
      if (choice instanceof Constant) return write(builder, graphs[choice.value]!, operands, [], guard)
      const chosen = graphs.map((_, k) => lower.chosen(choice, k, guard ?? null))
      const results = graphs.map((graph, k) => write(builder, graph, operands, [], chosen[k]))
      return results[0]!.map((_, k) =>
        lower.merge(
          chosen,
          results.map((result) => result[k]!),
        ),
      )
    },
    ({ value, aval }) => new Constant(value, aval),
  )
}
