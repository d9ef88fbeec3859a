// Gradients of single examples, and of losses after steps.

import {
  div,
  flip,
  grad,
  index,
  jvp,
  maximum,
  mean,
  mul,
  scan,
  sin,
  sqrt,
  square,
  stopGradient,
  sub,
  sum,
  tree,
  type Value,
  valueAndGrad,
  variance,
  vmap,
} from '../../index.ts'
import { type Mlp, mlpLoss, type Programs, stepped } from './functions.ts'

type Batch = [w1: Value, b1: Value, w2: Value, x: Value, y: Value]

/** `f` of each example. */
const each = <R>(f: (p: Mlp, x: Value, y: Value) => R, ...[w1, b1, w2, x, y]: Batch): R =>
  vmap(f, { inAxes: [null, 0, 0] })({ w1, b1, w2 }, x, y)

const sizeOf = ({ w1, b1, w2 }: Mlp): Value =>
  sqrt([w1, b1, w2].map((x) => sum(square(x))).reduce((a, b) => a.add(b)))

const slopes = grad(mlpLoss)

export const examples: Programs = {
  'gradients of single examples': (...batch) => each(slopes, ...(batch as Batch)),

  'norms of gradients': (...batch) => each((p, x, y) => sizeOf(slopes(p, x, y)), ...(batch as Batch)),

  'mean of clipped gradients': (...batch) => {
    const clipped = (p: Mlp, x: Value, y: Value): Mlp => {
      const g = slopes(p, x, y)
      const scale = maximum(1, sizeOf(g))
      return tree.map((leaf: Value) => div(leaf, scale), g)
    }
    return tree.map((g: Value) => mean(g, { axis: 0 }), each(clipped, ...(batch as Batch)))
  },

  'variance of gradients': (...batch) =>
    tree.map((g: Value) => variance(g, { axis: 0 }), each(slopes, ...(batch as Batch))),

  'losses and their tangents': (...batch) =>
    each(
      (p, x, y) => {
        const t: Mlp = tree.map((leaf: Value) => sin(leaf), p)
        return jvp((p: Mlp) => mlpLoss(p, x, y), [p], [t])
      },
      ...(batch as Batch),
    ),
}

interface Task {
  readonly a: Value
  readonly b: Value
}

const taskLoss = ({ a, b }: Task, x: Value, y: Value): Value => mean(square(sub(sin(mul(x, a)).add(b), y)))

const adapted = (p: Task, x: Value, y: Value): Task => stepped(p, grad(taskLoss)(p, x, y), 0.25)

export const maml: Programs = {
  'grad through a step': (a: Value, b: Value, x: Value, y: Value) =>
    valueAndGrad((p: Task) => taskLoss(adapted(p, x, y), flip(x), y))({ a, b }),

  'grad through two steps': (a: Value, b: Value, x: Value, y: Value) =>
    grad((p: Task) => taskLoss(adapted(adapted(p, x, y), x, y), y, x))({ a, b }),

  'first order grad through a step': (a: Value, b: Value, x: Value, y: Value) => {
    const first = (p: Task): Task => {
      const g: Task = tree.map((leaf: Value) => stopGradient(leaf), grad(taskLoss)(p, x, y))
      return stepped(p, g, 0.25)
    }
    return grad((p: Task) => taskLoss(first(p), y, x))({ a, b })
  },

  'grad through steps of several tasks': (a: Value, b: Value, x: Value, y: Value) => {
    const outer = (p: Task) => {
      const steps = (x: Value, y: Value) =>
        scan((p: Task, _: null) => [adapted(p, x, y), null], p, null, { length: 2 })[0]
      return mean(vmap((x: Value, y: Value) => taskLoss(steps(x, y), y, x))(x, y))
    }
    return grad(outer)({ a, b })
  },

  'grad of a learning rate': (rate: Value, x: Value, y: Value) => {
    const p: Task = { a: index(x, 0), b: index(y, 0) }
    return grad((rate: Value) => taskLoss(stepped(p, grad(taskLoss)(p, x, y), rate), x, y))(rate)
  },
}
