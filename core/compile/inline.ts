// Graph → Graph without equations that are programs themselves: those are written out in their place. What stands in a branch
// gets a guard, so that it runs only if the branch was chosen. Loops stay; their bodies are programs of their own. Equations
// whose records know a cheaper way than one kernel are done that way.

import { type Equation, type Graph, interpret, type Var } from '../graph.ts'
import { Builder } from '../trace.ts'
import { Constant, type Value } from '../value.ts'

/** `graph` written out. With `guard`, an input of the graph, nothing in it runs unless that is true. */
export function inline(graph: Graph, guard?: Var): Graph {
  const changes = ({ primitive: { lower, expand } }: Equation): boolean =>
    lower.kind === 'inline' || lower.kind === 'branches' || expand !== undefined
  if (guard === undefined && !graph.equations.some(changes)) return graph
  const builder = new Builder()
  const inputs = graph.inputs.map(({ aval }) => builder.input(aval))
  const captures = graph.captures.map(({ aval }) => builder.input(aval))
  const outer = guard ? inputs[graph.inputs.indexOf(guard)]! : null
  const { graph: written } = builder.finish(write(builder, graph, inputs, captures, outer))
  const { length } = graph.inputs
  return { ...written, inputs: written.inputs.slice(0, length), captures: written.inputs.slice(length) }
}

function write(
  builder: Builder,
  graph: Graph,
  inputs: readonly Value[],
  captures: readonly Value[],
  guard: Value | null,
): readonly Value[] {
  return interpret<Value>(
    graph,
    inputs,
    captures,
    ({ primitive, params, outputs }, inputs) => {
      const { lower, expand } = primitive
      if (lower.kind === 'inline') return write(builder, lower.graph(params), inputs, [], guard)
      if (lower.kind !== 'branches')
        return builder.record(
          () => expand?.(inputs, params) ?? builder.emit(primitive, inputs, params, outputs),
          guard,
        )
      const [choice, ...operands] = inputs as [Value, ...Value[]]
      const graphs = lower.graphs(params)
      if (choice instanceof Constant) return write(builder, graphs[choice.value]!, operands, [], guard)
      const chosen = builder.record(() => graphs.map((_, k) => lower.chosen(choice, k, guard)))
      const results = graphs.map((graph, k) => write(builder, graph, operands, [], chosen[k]!))
      const mergeAt = (k: number): Value =>
        lower.merge(
          chosen,
          results.map((result) => result[k]!),
        )
      return builder.record(() => results[0]!.map((_, k) => mergeAt(k)), guard)
    },
    ({ value, aval }) => new Constant(value, aval),
  )
}
