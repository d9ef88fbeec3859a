// Graph → Graph: equations that compute the same are joined, and those whose results nobody reads are dropped.

import {
  type Atom,
  type Equation,
  type Graph,
  hasEffect,
  Literal,
  showLiteral,
  showParams,
  Var,
} from '../graph.ts'

export function simplify(graph: Graph): Graph {
  return dropUnused(joinEqual(graph))
}

function joinEqual(graph: Graph): Graph {
  const replaced = new Map<Var, Var>()
  const numbers = new Map<Var, number>()
  const known = new Map<string, Equation>()
  const resolve = (atom: Atom): Atom => (atom instanceof Var ? (replaced.get(atom) ?? atom) : atom)
  const name = (atom: Atom): string => {
    if (atom instanceof Literal) return `${showLiteral(atom)} ${atom.aval}`
    if (!numbers.has(atom)) numbers.set(atom, numbers.size)
    return `#${numbers.get(atom)}`
  }
  const equations: Equation[] = []
  for (const equation of graph.equations) {
    const inputs = equation.inputs.map(resolve)
    const guard = equation.guard && (resolve(equation.guard) as Var)
    const kept = { ...equation, inputs, ...(guard && { guard }) }
    if (hasEffect(equation)) {
      equations.push(kept)
      continue
    }
    const key = [equation.primitive.name, showParams(equation.params), ...inputs.map(name)].join(' ')
    const guarded = guard === undefined ? key : `${key} if ${name(guard)}`
    const equal = known.get(key) ?? known.get(guarded)
    if (equal !== undefined) {
      for (const [k, output] of equation.outputs.entries()) replaced.set(output, equal.outputs[k]!)
      continue
    }
    known.set(guarded, kept)
    equations.push(kept)
  }
  return { ...graph, equations, outputs: graph.outputs.map(resolve) }
}

function dropUnused(graph: Graph): Graph {
  const used = new Set<Atom>(graph.outputs)
  const equations = graph.equations.toReversed().filter((equation) => {
    const { inputs, outputs, guard } = equation
    const alive = hasEffect(equation) || outputs.some((output) => used.has(output))
    if (alive) for (const input of inputs) used.add(input)
    if (alive && guard) used.add(guard)
    return alive
  })
  return { ...graph, equations: equations.reverse() }
}
