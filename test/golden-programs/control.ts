// Loops and branches, in each other and under transforms.

import {
  abs,
  arange,
  cond,
  cos,
  div,
  equal,
  floorDivide,
  foriLoop,
  grad,
  greater,
  hessian,
  index,
  jvp,
  less,
  linearize,
  map,
  matmul,
  mod,
  mul,
  prod,
  scan,
  sin,
  square,
  sub,
  sum,
  switchCase,
  tanh,
  type Value,
  valueAndGrad,
  vmap,
  where,
  whileLoop,
} from '../../index.ts'
import { backwards, cube, f32, i32, type Programs } from './functions.ts'

type Pair = readonly [Value, Value]

const branches = [(x: Value) => mul(x, 2), (x: Value) => sin(x), (x: Value) => sub(square(x), 1)]

export const control: Programs = {
  'scan with results': (xs: Value) =>
    scan((c: Value, x: Value) => [sin(c.add(x)), mul(c, x)], index(xs, 0), xs),

  'grad of scan': (xs: Value, c: Value) => {
    const loss = (c: Value, xs: Value) => {
      const [last, ys] = scan((c: Value, x: Value) => [tanh(mul(c, x).add(0.5)), mul(c, c)], c, xs)
      return last.add(sum(mul(ys, xs)))
    }
    return grad(loss, { argnums: [0, 1] })(c, xs)
  },

  'reverse scan': (xs: Value) =>
    scan((c: Value, x: Value) => [mul(c, 0.5).add(x), sub(c, x)], f32(0), xs, { reverse: true }),

  'grad of reverse scan': (xs: Value, c: Value) => {
    const loss = (c: Value, xs: Value) => {
      const body = (c: Value, x: Value): Pair => [mul(sin(c), x), c.add(x)]
      const [last, ys] = scan(body, c, xs, { reverse: true })
      return mul(last, 2).add(sum(square(ys)))
    }
    return valueAndGrad(loss, { argnums: [0, 1] })(c, xs)
  },

  'scan of trees': (a: Value, x: Value, y: Value) =>
    scan(
      (c: { a: Value; n: Value }, e: { x: Value; y: Value }) => {
        const next = mul(c.a, e.y).add(e.x)
        return [
          { a: next, n: c.n.add(i32(1)) },
          { s: sum(next), t: [c.a, e.y] },
        ] as const
      },
      { a, n: i32(0) },
      { x, y },
    ),

  'scan with a length': (x: Value) =>
    scan((c: Value, _: null) => [mul(c, 0.5).add(1), sum(c)], x, null, { length: 5 }),

  'jvp of scan': (xs: Value, ts: Value, c: Value, t: Value) => {
    const f = (c: Value, xs: Value) => scan((c: Value, x: Value) => [cos(c).add(x), mul(c, x)], c, xs)
    return jvp(f, [c, xs], [t, ts])
  },

  'vmap of scan': (xs: Value, c: Value) =>
    vmap((c: Value, xs: Value) => scan((c: Value, x: Value) => [tanh(c.add(x)), mul(c, x)], c, xs))(c, xs),

  'vmap of scan with a shared carry': (xs: Value, c: Value) => {
    const f = (c: Value, xs: Value) => scan((c: Value, x: Value) => [mul(c, 0.5).add(x), c], c, xs)
    return vmap(f, { inAxes: [null, 0], outAxes: [0, 1] })(c, xs)
  },

  'vmap of grad of scan': (xs: Value, c: Value) => {
    const loss = (c: Value, xs: Value) =>
      square(scan((c: Value, x: Value) => [sin(mul(c, x)), null], c, xs)[0])
    return vmap(grad(loss, { argnums: 1 }))(c, xs)
  },

  'scan in scan': (xs: Value) => {
    const outer = (c: Value, row: Value): Pair => {
      const inner = (d: Value, x: Value): Pair => [mul(d, 0.5).add(x), d.add(c)]
      const [last, ys] = scan(inner, c, row)
      return [last, sum(ys)]
    }
    return scan(outer, f32(0), xs)
  },

  'grad of scan in scan': (xs: Value, c: Value) => {
    const loss = (c: Value, xs: Value) => {
      const outer = (c: Value, row: Value): Pair => {
        const inner = (d: Value, x: Value): Pair => [tanh(d.add(mul(x, c))), mul(d, x)]
        const [last, ys] = scan(inner, c, row, { reverse: true })
        return [last, sum(ys)]
      }
      const [last, ys] = scan(outer, c, xs)
      return last.add(sum(square(ys)))
    }
    return grad(loss, { argnums: [0, 1] })(c, xs)
  },

  'hessian of scan': (xs: Value, w: Value) => {
    const f = (w: Value) => {
      const body = (c: Value, x: Value) => [sin(mul(c, index(w, 0)).add(mul(x, index(w, 1)))), null] as const
      return scan(body, index(w, 0), xs)[0]
    }
    return hessian(f)(w)
  },

  'grad of a weight that a scan captures': (xs: Value, w: Value, c: Value) => {
    const loss = (w: Value) => {
      const [last, ys] = scan((c: Value, x: Value) => [tanh(matmul(w, c).add(x)), sum(c)], c, xs)
      return sum(last).add(sum(ys))
    }
    return grad(loss)(w)
  },

  'linearize of scan': (xs: Value, ts: Value, c: Value) => {
    const f = (xs: Value) => scan((c: Value, x: Value) => [mul(c, x), sin(c)], c, xs)
    const [y, tangent] = linearize(f, xs)
    return [y, tangent(ts)]
  },

  'scan of matrix powers': (m: Value, v: Value) =>
    scan((c: Value, _: null) => [mul(matmul(m, c), 0.25), c], v, null, { length: 4 }),

  'scan with an integer carry': (n: Value, xs: Value) => {
    const body = ([i, total]: Pair, x: Value): readonly [Pair, Value] => [
      [mod(mul(i, 3), 7), total.add(mul(x, i))],
      i,
    ]
    return scan(body, [n, f32(0)], xs)
  },

  'cond both ways': (x: Value, y: Value) => {
    const f = (p: Value) =>
      cond(
        p,
        (x: Value, y: Value) => mul(x, y),
        (x: Value, y: Value) => sub(x, y),
        x,
        y,
      )
    return [f(greater(sum(x), 1000)), f(less(sum(x), 1000))]
  },

  'cond with a batched predicate': (x: Value, y: Value) =>
    vmap((x: Value, y: Value) =>
      cond(
        greater(x, 0),
        (x: Value) => sin(x),
        (x: Value) => mul(x, y),
        x,
      ),
    )(x, y),

  'cond with batched operands': (x: Value, p: Value) =>
    vmap((x: Value) =>
      cond(
        p,
        (x: Value) => ({ a: backwards(x) }),
        (x: Value) => ({ a: mul(x, 2) }),
        x,
      ),
    )(x),

  'grad of cond': (x: Value, y: Value) => {
    const f = (x: Value, y: Value) =>
      cond(
        greater(y, 0),
        (x: Value, y: Value) => mul(sum(square(x)), y),
        (x: Value, y: Value) => mul(sum(sin(x)), y),
        x,
        y,
      )
    const slopes = grad(f, { argnums: [0, 1] })
    return [slopes(x, y), slopes(x, y.neg())]
  },

  'grad of vmap of cond': (x: Value, y: Value) => {
    const f = (x: Value, y: Value) =>
      cond(
        greater(x, y),
        () => mul(mul(x, x), y),
        () => cos(x).add(y),
      )
    return grad((x: Value, y: Value) => sum(vmap(f)(x, y)), { argnums: [0, 1] })(x, y)
  },

  'vmap of grad of cond': (x: Value, y: Value) =>
    vmap(grad((x: Value, y: Value) => cond(greater(y, 0), cube, (x: Value) => x.neg(), x)))(x, y),

  'cond in scan': (xs: Value) => {
    const body = (c: Value, x: Value): Pair =>
      cond(
        greater(c, x),
        (c: Value, x: Value): Pair => [mul(c, 0.5), x],
        (c: Value, x: Value): Pair => [c.add(mul(x, x)), c.neg()],
        c,
        x,
      )
    return scan(body, index(xs, 0), xs)
  },

  'grad of cond in scan': (xs: Value, c: Value) => {
    const loss = (c: Value, xs: Value) => {
      const step = (c: Value, x: Value) =>
        cond(
          greater(x, 0),
          (c: Value) => mul(sin(c), x),
          (c: Value) => mul(c, c).add(x),
          c,
        )
      return scan((c: Value, x: Value) => [step(c, x), null], c, xs)[0]
    }
    return valueAndGrad(loss, { argnums: [0, 1] })(c, xs)
  },

  'switch of every index': (x: Value) =>
    [-1, 0, 1, 2, 5].map((k) => switchCase(i32(k).add(mul(sum(x), 0).cast('i32')), branches, x)),

  'switch with a batched index': (i: Value, x: Value) =>
    vmap((i: Value, x: Value) => switchCase(i, branches, x))(i, x),

  'grad of switch': (i: Value, x: Value) =>
    vmap(grad((x: Value, i: Value) => switchCase(i, branches, x)))(x, i),

  'while loop': (x: Value) =>
    whileLoop<Pair>(
      ([x]) => greater(x, 1),
      ([x, n]) => [mul(x, 0.5), n.add(1)],
      [x, i32(0)],
    ),

  'vmap of while loop': (n: Value) => {
    const next = (n: Value) => where(equal(mod(n, 2), 0), floorDivide(n, 2), mul(n, 3).add(1))
    const collatz = (n: Value) =>
      whileLoop<Pair>(
        ([n]) => greater(n, 1),
        ([n, steps]) => [next(n), steps.add(1)],
        [n, i32(0)],
      )[1]
    return vmap(collatz)(n)
  },

  'jvp of while loop': (x: Value, t: Value) => {
    const f = (x: Value) =>
      whileLoop(
        (y: Value) => less(y, 50),
        (y: Value) => mul(y, x.add(1.25)),
        x,
      )
    return jvp(f, [x], [t])
  },

  'vmap of jvp of while loop': (x: Value, t: Value) => {
    const f = (x: Value) =>
      whileLoop(
        (y: Value) => less(y, 20),
        (y: Value) => mul(y, 1.5).add(mul(x, x)),
        x,
      )
    return vmap((x: Value, t: Value) => jvp(f, [x], [t]))(x, t)
  },

  'while loop of a tree': (x: Value) =>
    whileLoop(
      ({ y }: { y: Value; n: Value }) => greater(abs(sub(square(y), x)), 2 ** -10),
      ({ y, n }) => ({ y: mul(0.5, y.add(div(x, y))), n: n.add(1) }),
      { y: x.add(1), n: i32(0) },
    ),

  'fori loop': (x: Value) => foriLoop(1, 5, (i, x: Value) => mul(x, 0.5).add(i), x),

  'grad of fori loop': (x: Value) =>
    grad((x: Value) => sum(foriLoop(0, 4, (i, y: Value) => sin(y).add(mul(x, i)), x)))(x),

  'jvp of fori loop with bounds that are data': (n: Value, x: Value, t: Value) =>
    jvp((x: Value) => foriLoop(0, n, (i, y: Value) => mul(y, x).add(i), x), [x], [t]),

  'vmap of fori loop with batched bounds': (n: Value, x: Value) =>
    vmap((n: Value, x: Value) => foriLoop(0, n, (i, y: Value) => mul(y, 0.5).add(i), x))(n, x),

  'fori loop in fori loop': (x: Value) => {
    const inner = (i: Value, x: Value) =>
      foriLoop(0, i, (j, y: Value) => y.add(mul(mul(backwards(x), j), 0.125)), x)
    return foriLoop(0, 4, inner, x)
  },

  'map of rows': (x: Value) => map((row: Value) => [sum(row), sin(backwards(row))], x),

  'grad of map': (x: Value, w: Value) =>
    grad((w: Value) => sum(square(map((row: Value) => tanh(matmul(row, w)), x))))(w),

  'while loop in scan': (xs: Value) => {
    const body = (c: Value, x: Value): Pair => {
      const grown = whileLoop(
        (y: Value) => less(y, c.add(4)),
        (y: Value) => mul(y, 1.5).add(0.25),
        x,
      )
      return [c.add(0.5), grown]
    }
    return scan(body, f32(0), xs)
  },

  'scan in while loop': (xs: Value) => {
    const more = (total: Value) => scan((c: Value, x: Value) => [c.add(mul(x, 0.5)), null], total, xs)[0]
    return whileLoop<Pair>(
      ([total]) => less(total, 10),
      ([total, n]) => [more(total), n.add(1)],
      [index(xs, 0), i32(0)],
    )
  },

  'vmap of a scan in a cond': (p: Value, xs: Value) => {
    const f = (p: Value, xs: Value) =>
      cond(
        greater(p, 0),
        (xs: Value) => scan((c: Value, x: Value) => [c.add(x), c], p, xs)[0],
        (xs: Value) => prod(xs),
        xs,
      )
    return [vmap(f)(p, xs), grad((xs: Value) => sum(vmap(f)(p, xs)))(xs)]
  },

  'vmap of grad of a scan with a cond': (x: Value, y: Value) => {
    const f = (x: Value, y: Value) => {
      const step = (c: Value) =>
        cond(
          greater(c, 0.5),
          (c: Value) => mul(c, y),
          (c: Value) => c.add(sin(y)),
          c,
        )
      const [last, ys] = scan((c: Value, _: Value) => [step(c), c], x, arange(3))
      return last.add(sum(ys))
    }
    return vmap(grad(f, { argnums: [0, 1] }))(x, y)
  },
}
