// Layers, networks and their losses, written out.

import {
  concatenate,
  cos,
  diagonal,
  div,
  einsum,
  exp,
  expandDims,
  grad,
  index,
  iota,
  logistic,
  logSoftmax,
  matmul,
  mean,
  mul,
  norm,
  oneHot,
  ones,
  outer,
  pad,
  scan,
  sin,
  softmax,
  sqrt,
  square,
  stack,
  sub,
  sum,
  take,
  takeAlongAxis,
  tanh,
  transpose,
  tril,
  type Value,
  valueAndGrad,
  variance,
  vmap,
  where,
} from '../../index.ts'
import {
  celu,
  elu,
  gelu,
  glu,
  hardTanh,
  leakyRelu,
  logSigmoid,
  mish,
  relu6,
  selu,
  sigmoid,
  silu,
  softplus,
  softSign,
  squareplus,
} from '../../nn/index.ts'
import { cube, type Programs } from './functions.ts'

function layerNorm(x: Value, g: Value, b: Value): Value {
  const centred = sub(x, mean(x, { axis: -1, keepDims: true }))
  return mul(div(centred, sqrt(variance(x, { axis: -1, keepDims: true }).add(2 ** -10))), g).add(b)
}

const heads = (q: Value, k: Value): Value => matmul(softmax(matmul(q, transpose(k))), k)

type Gru = [u: Value, w: Value, b: Value, xs: Value, h: Value]

function gru(u: Value, w: Value, b: Value, xs: Value, start: Value): [Value, Value] {
  const third = (x: Value, k: number): Value => index(x, { start: 2 * k, stop: 2 * k + 2 })
  const step = (h: Value, x: Value): readonly [Value, Value] => {
    const [a, c] = [matmul(x, u).add(b), matmul(h, w)]
    const [r, z] = [sigmoid(third(a, 0).add(third(c, 0))), logistic(third(a, 1).add(third(c, 1)))]
    const n = tanh(third(a, 2).add(mul(r, third(c, 2))))
    const next = mul(sub(1, z), n).add(mul(z, h))
    return [next, next]
  }
  return scan(step, start, xs)
}

const meanOfLabels = (logits: Value, labels: Value): Value =>
  mean(takeAlongAxis(logSoftmax(logits), expandDims(labels, 1), { axis: 1 })).neg()

export const networks: Programs = {
  'layer norm with its gradients': (x: Value, g: Value, b: Value) => {
    const w = iota([8], { dtype: 'f32' }).reshape([2, 4]).div(8)
    const loss = (x: Value, g: Value, b: Value) => sum(mul(layerNorm(x, g, b), w))
    return [layerNorm(x, g, b), grad(loss, { argnums: [0, 1, 2] })(x, g, b)]
  },

  'causal attention': (q: Value, k: Value, v: Value) => {
    const attend = (q: Value, k: Value, v: Value) => {
      const scores = where(tril(ones([3, 3], 'bool')), matmul(q, transpose(k)).div(2), -Infinity)
      return matmul(softmax(scores), v)
    }
    const loss = (q: Value, k: Value, v: Value) => sum(square(attend(q, k, v)))
    return [attend(q, k, v), grad(loss, { argnums: [0, 1, 2] })(q, k, v)]
  },

  'vmap of attention over heads': (q: Value, k: Value) => [
    vmap(heads, { inAxes: 1, outAxes: 1 })(q, k),
    vmap(grad((q: Value, k: Value) => sum(cube(heads(q, k)))))(q, k),
  ],

  'recurrent network by scan': (...inputs) => gru(...(inputs as Gru)),

  'grad of a recurrent network': (...inputs) =>
    grad((...inputs: Gru) => sum(square(gru(...inputs)[1])), { argnums: [0, 1, 2, 3, 4] })(
      ...(inputs as Gru),
    ),

  'convolution by windows': (x: Value, w: Value) => {
    const conv = (x: Value, w: Value) => {
      const windows = [0, 1, 2].map((k) => index(x, { start: k, stop: k + 4 }))
      return einsum('tki,kio->to', stack(windows, { axis: 1 }), w)
    }
    return [conv(x, w), grad((x: Value, w: Value) => sum(square(conv(x, w))), { argnums: [0, 1] })(x, w)]
  },

  'convolution of images': (x: Value, w: Value) => {
    const conv = (x: Value, w: Value) => {
      const padded = pad(x, { before: [0, 0], after: [1, 1] })
      const moved = [0, 1, 2, 3].map((k) => {
        const [i, j] = [k >> 1, k & 1]
        return mul(index(w, i, j), index(padded, { start: i, stop: i + 4 }, { start: j, stop: j + 4 }))
      })
      return moved.reduce((a, b) => a.add(b))
    }
    return [conv(x, w), grad((w: Value) => sum(square(conv(x, w))))(w)]
  },

  'cross entropy with its gradient': (x: Value, labels: Value) =>
    valueAndGrad((x: Value) => meanOfLabels(x, labels))(x),

  'smoothed cross entropy': (x: Value, labels: Value) => {
    const target = mul(oneHot(labels, 4), 0.875).add(0.125 / 4)
    return valueAndGrad((x: Value) => mean(sum(mul(target, logSoftmax(x)), { axis: -1 })).neg())(x)
  },

  'rotary positions': (q: Value, k: Value) => {
    const rotate = (x: Value) => {
      const angle = outer(iota([3], { dtype: 'f32' }), exp(mul(iota([2], { dtype: 'f32' }), -2)))
      const [c, s] = [cos(angle), sin(angle)]
      const [a, b] = [index(x, {}, { stop: 2 }), index(x, {}, { start: 2 })]
      return concatenate([sub(mul(a, c), mul(b, s)), mul(a, s).add(mul(b, c))], { axis: 1 })
    }
    const scores = (q: Value, k: Value) => matmul(rotate(q), transpose(rotate(k)))
    return [scores(q, k), grad((q: Value) => sum(square(scores(q, k))))(q)]
  },

  'gelu network': (x: Value, w: Value, b: Value) => {
    const f = (w: Value, b: Value) => sum(square(gelu(matmul(x, w).add(b), { approximate: true })))
    return valueAndGrad(f, { argnums: [0, 1] })(w, b)
  },

  activations: (x: Value) => {
    const fs: readonly ((x: Value) => Value)[] = [
      silu,
      softplus,
      elu,
      selu,
      celu,
      leakyRelu,
      relu6,
      hardTanh,
      mish,
      softSign,
      squareplus,
      logSigmoid,
    ]
    const f = (x: Value) => stack(fs.map((f, k) => f(index(x, k))))
    return [f(x), grad((x: Value) => sum(f(x)))(x)]
  },

  'gelu both ways': (x: Value) => {
    const f = (x: Value) => stack([gelu(x, { approximate: true }), gelu(x, { approximate: false })])
    return [f(x), vmap(grad((x: Value) => sum(f(x))))(x)]
  },

  'gated linear unit': (x: Value) => [glu(x), grad((x: Value) => sum(square(glu(x, { axis: 1 }))))(x)],

  'batch norm with its gradient': (x: Value, g: Value) => {
    const f = (x: Value) => {
      const centred = sub(x, mean(x, { axis: 0 }))
      return mul(div(centred, sqrt(variance(x, { axis: 0 }).add(2 ** -8))), g)
    }
    return [f(x), grad((x: Value) => sum(cube(f(x))))(x)]
  },

  'a language model of bigrams': (e: Value, u: Value, tokens: Value) => {
    const loss = (p: { readonly e: Value; readonly u: Value }) => {
      const known = take(p.e, index(tokens, { stop: -1 }))
      return meanOfLabels(matmul(tanh(known), p.u), index(tokens, { start: 1 }))
    }
    return valueAndGrad(loss)({ e, u })
  },

  'contrastive loss': (x: Value, y: Value) => {
    const unit = (v: Value) => div(v, norm(v, { axis: -1, keepDims: true }))
    const loss = (x: Value, y: Value) => {
      const scores = mul(matmul(unit(x), transpose(unit(y))), 4)
      return mean(diagonal(logSoftmax(scores))).neg()
    }
    return valueAndGrad(loss, { argnums: [0, 1] })(x, y)
  },
}
