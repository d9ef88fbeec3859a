// The types of trees come through transforms: what `npm run check` compiles here is the test.

import { expectTypeOf, test } from 'vitest'
import { grad, jvp, linearize, valueAndGrad, vjp, vmap } from '../../autodiff/index.ts'
import { evalShape, jit, tree, type Value } from '../../core/index.ts'

interface Layer {
  readonly weight: Value
  readonly bias?: Value
}
interface Params {
  readonly layers: readonly Layer[]
  readonly ends: readonly [first: Value, last: Value]
  readonly head: { scale: Value | null; deep: { named: Record<string, Value> } }
}
declare const params: Params
declare const x: Value
declare const loss: (params: Params, x: Value) => Value
declare const forward: (
  params: Params,
  x: Value,
) => { readonly logits: Value; readonly cache?: [Value, Value] }
type Outputs = ReturnType<typeof forward>

/** Compiled, and never run. */
function types() {
  expectTypeOf(grad(loss)(params, x)).toEqualTypeOf<Params>()
  expectTypeOf(grad(loss, { argnums: 1 })(params, x)).toEqualTypeOf<Value>()
  expectTypeOf(grad(loss, { argnums: [1, 0] })(params, x)).toEqualTypeOf<readonly [Value, Params]>()
  expectTypeOf(valueAndGrad(loss)(params, x)).toEqualTypeOf<[Value, Params]>()
  const both = (params: Params, x: Value) => [loss(params, x), forward(params, x)] as const
  expectTypeOf(grad(both, { hasAux: true })(params, x)).toEqualTypeOf<[Params, Outputs]>()
  expectTypeOf(valueAndGrad(both, { hasAux: true })(params, x)).toEqualTypeOf<[[Value, Outputs], Params]>()

  expectTypeOf(vmap(forward, { inAxes: [null, 0] })).toEqualTypeOf<(params: Params, x: Value) => Outputs>()
  expectTypeOf(jit(forward)).toEqualTypeOf<(params: Params, x: Value) => Outputs>()
  expectTypeOf(evalShape(forward)(params, x)).toEqualTypeOf<Outputs>()
  expectTypeOf(jvp(forward, [params, x], [params, x])).toEqualTypeOf<[Outputs, Outputs]>()
  expectTypeOf(linearize(forward, params, x)[1]).toEqualTypeOf<(params: Params, x: Value) => Outputs>()
  const [outputs, pullback] = vjp(forward, params, x)
  expectTypeOf(outputs).toEqualTypeOf<Outputs>()
  expectTypeOf(pullback(outputs)).toEqualTypeOf<[params: Params, x: Value]>()
  // @ts-expect-error: the tangents must be trees like the primals
  jvp(forward, [params, x], [x, x])
  // @ts-expect-error: a loss is one array
  grad(forward)

  interface Numbers {
    readonly layers: readonly { readonly weight: number; readonly bias?: number }[]
    readonly ends: readonly [first: number, last: number]
    readonly head: { scale: number | null; deep: { named: Record<string, number> } }
  }
  expectTypeOf(tree.map((value: Value) => value.size, params)).toEqualTypeOf<Numbers>()
  expectTypeOf(tree.map((value) => value.size, params)).toEqualTypeOf<Numbers>()
  expectTypeOf(
    tree.map((value: Value, other: Value) => value.add(other), params, params),
  ).toEqualTypeOf<Params>()
  expectTypeOf(tree.unflatten(params, [1, 2])).toEqualTypeOf<Numbers>()
  const [leaves, rebuild] = tree.flatten(params)
  expectTypeOf(leaves).toEqualTypeOf<Value[]>()
  expectTypeOf(rebuild([1])).toEqualTypeOf<Numbers>()
  expectTypeOf(tree.flatten({ a: 1, b: [true] })[0]).toEqualTypeOf<(number | boolean)[]>()
  expectTypeOf(tree.partition(() => true, params)).toEqualTypeOf<[Params, Params]>()
  expectTypeOf(tree.combine(params, params)).toEqualTypeOf<Params>()
  const turned = tree.transpose({ a: 0, b: 0 }, [0, 0] as [number, number], { a: [x, x], b: [x, x] })
  expectTypeOf(turned.length).toEqualTypeOf<2>()
  expectTypeOf(turned[1].b).toEqualTypeOf<Value>()
}

test('types are checked by tsc', () => expectTypeOf(types).returns.toBeVoid())
