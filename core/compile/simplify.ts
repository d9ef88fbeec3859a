// Graph → Graph: equations that compute the same are joined, and those whose results nobody reads are dropped.

import { type Atom, type Equation, type Graph, Literal, Var } from '../graph.ts'

export function simplify(graph: Graph): Graph {
  return dropUnused(joinEqual(graph))
}

function joinEqual(graph: Graph): Graph {
  const replaced = new Map<Var, Var>()
  const numbers = new Map<Var, number>()
  const known = new Map<string, Equation>()
  const resolve = (atom: Atom): Atom => (atom instanceof Var ? (replaced.get(atom) ?? atom) : atom)
  const name = (atom: Atom): string => {
    if (atom instanceof Literal) return `${Object.is(atom.value, -0) ? '-0' : atom.value}:${atom.aval}`
    if (!numbers.has(atom)) numbers.set(atom, numbers.size)
    return `#${numbers.get(atom)}`
  }
  const equations: Equation[] = []
  for (const equation of graph.equations) {
    const inputs = equation.inputs.map(resolve)
    const key = [equation.primitive.name, JSON.stringify(equation.params), ...inputs.map(name)].join(' ')
    const equal = known.get(key)
    if (equal !== undefined) {
      for (const [k, output] of equation.outputs.entries()) replaced.set(output, equal.outputs[k]!)
      continue
    }
    const kept = { ...equation, inputs }
    known.set(key, kept)
    equations.push(kept)
  }
  return { ...graph, equations, outputs: graph.outputs.map(resolve) }
}

function dropUnused(graph: Graph): Graph {
  const used = new Set<Atom>(graph.outputs)
  const equations = graph.equations.toReversed().filter((equation) => {
    const alive = equation.outputs.some((output) => used.has(output))
    if (alive) for (const input of equation.inputs) used.add(input)
    return alive
  })
  return { ...graph, equations: equations.reverse() }
}
