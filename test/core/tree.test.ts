// Parameter trees: what is a leaf, what keeps its place, classes as branches, and laws over random trees.

import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { grad, jvp, vjp, vmap } from '../../autodiff/index.ts'
import { evalShape, jit, mul, sum, tensor, tree, type Value } from '../../core/index.ts'
import { diagonal } from '../../nn/index.ts'

class Dense {
  readonly weight: Value
  readonly bias: Value | null
  readonly activation: string

  constructor(weight: Value, bias: Value | null, activation = 'relu') {
    this.weight = weight
    this.bias = bias
    this.activation = activation
  }
}
tree.register(Dense, {
  flatten: ({ weight, bias, activation }) => [{ weight, bias }, { activation }],
  unflatten: ({ activation }, { weight, bias }) => new Dense(weight, bias, activation),
})

/** Two children without names, and no static data. */
class Pair {
  readonly parts: readonly [unknown, unknown]
  constructor(...parts: [unknown, unknown]) {
    this.parts = parts
  }
}
tree.register(Pair, {
  flatten: ({ parts }) => [parts, undefined],
  unflatten: (_, parts) => new Pair(...parts),
})

class Plain {
  readonly x = 1
}
class Derived extends Dense {}

/** Trees of whole numbers, with holes, instances and empty branches. */
const trees: fc.Arbitrary<unknown> = fc.letrec((tie) => ({
  node: fc.oneof(
    { depthSize: 'small' },
    fc.integer(),
    fc.constantFrom(null, undefined),
    fc.array(tie('node'), { maxLength: 3 }),
    fc.dictionary(fc.string({ maxLength: 3 }), tie('node'), { maxKeys: 3, noNullPrototype: true }),
    fc.tuple(tie('node'), tie('node')).map(([a, b]) => new Pair(a, b)),
  ),
})).node

describe('laws', () => {
  test('what is taken apart and put together is the same', () => {
    fc.assert(
      fc.property(trees, (t) => {
        const [leaves, rebuild] = tree.flatten(t)
        expect(rebuild(leaves)).toEqual(t)
        expect(tree.equal(rebuild(leaves), t)).toBe(true)
        expect(tree.structure(tree.map((x) => x, t))).toBe(tree.structure(t))
      }),
    )
  })

  test('map goes to the leaves in order', () => {
    fc.assert(
      fc.property(trees, (t) => {
        const twice = (x: number): number => 2 * x
        expect(tree.leaves(tree.map(twice, t))).toEqual(tree.leaves(t).map((x) => 2 * (x as number)))
        const sums = tree.map((x: number, y: number) => x + y, t, t)
        expect(tree.equal(sums, tree.map(twice, t))).toBe(true)
      }),
    )
  })

  test('every leaf has a path of its own, and lies there', () => {
    fc.assert(
      fc.property(trees, (t) => {
        for (const { path, leaf } of tree.leavesWithPath(t))
          expect(path.reduce<unknown>((node, key) => tree.children(node)?.get(key), t)).toBe(leaf)
      }),
    )
  })

  test('the order of keys does not matter', () => {
    fc.assert(
      fc.property(fc.dictionary(fc.string(), fc.integer(), { noNullPrototype: true }), (t) => {
        const turned = Object.fromEntries(Object.entries(t).reverse())
        expect(tree.structure(turned)).toBe(tree.structure(t))
        expect(tree.leaves(turned)).toEqual(tree.leaves(t))
      }),
    )
  })

  test('combine undoes partition', () => {
    fc.assert(
      fc.property(trees, fc.func(fc.boolean()), (t, keep) => {
        const [yes, no] = tree.partition((path) => keep(path), t)
        expect(tree.leaves(yes).length + tree.leaves(no).length).toBe(tree.leaves(t).length)
        // a hole that the tree has already may be filled from either half: null and undefined are one to it
        expect(tree.leaves(tree.combine(yes, no))).toEqual(tree.leaves(t))
        expect(tree.paths(tree.combine(yes, no))).toEqual(tree.paths(t))
      }),
    )
  })

  test('transpose twice is nothing', () => {
    fc.assert(
      fc.property(trees, trees, (outer, inner) => {
        let count = 0
        const t = tree.map(() => tree.map(() => count++, inner), outer)
        fc.pre(tree.leaves(outer).length > 0 && tree.leaves(inner).length > 0)
        const turned = tree.transpose(outer, inner, t)
        expect(tree.equal(tree.transpose(inner, outer, turned), t)).toBe(true)
      }),
    )
  })
})

test('null and undefined hold no leaf, and stay what they are', () => {
  const t = { a: null, b: undefined, c: 1, d: [null, 2] as const }
  expect(tree.leaves(t)).toEqual([1, 2])
  expect(tree.map((x: number) => -x, t)).toStrictEqual({ a: null, b: undefined, c: -1, d: [null, -2] })
  expect(new Set([{ a: null }, { a: undefined }, {}].map(tree.structure)).size).toBe(3)
})

test('keys that every object inherits are keys like others', () => {
  const t = { toString: 1, constructor: 2 } as Record<string, number>
  expect(tree.map((x: number) => -x, t)).toEqual({ toString: -1, constructor: -2 })
  expect(() => tree.map((x: number) => x, t, {})).toThrow('tree 2 has nothing at "constructor"')
  expect(() => tree.map((x: number) => x, {}, t)).toThrow('tree 1 has nothing at "constructor"')
})

test('equal compares arrays by which they are, or as it is told', () => {
  const x = tensor([1])
  expect(tree.equal({ x }, { x })).toBe(true)
  expect(tree.equal({ x }, { x: tensor([1]) })).toBe(false)
  expect(tree.equal({ x }, [x])).toBe(false)
  expect(tree.equal([1, 2], [1, 3], (a, b) => Math.abs(Number(a) - Number(b)) <= 1)).toBe(true)
})

describe('registered classes', () => {
  const layer = () => new Dense(tensor([1, 2]), null)
  const apply = ({ weight, bias, activation }: Dense, x: Value): Value => {
    const y = bias === null ? mul(weight, x) : mul(weight, x).add(bias)
    return activation === 'relu' ? y.relu() : y
  }

  test('are branches whose keys are those of their children', () => {
    expect(tree.paths({ layers: [layer()] })).toEqual(['layers.0.weight'])
    expect(tree.paths(new Pair(1, { a: 2 }))).toEqual(['0', '1.a'])
    expect(tree.map((x: Value) => x, layer())).toBeInstanceOf(Dense)
    expect(tree.leaves([new Plain(), new Derived(tensor(1), null)])).toHaveLength(2)
  })

  test('their structure holds the class and the static data', () => {
    const texts = [layer(), new Dense(tensor([1]), null, 'none'), { weight: tensor([1]), bias: null }]
    expect(new Set(texts.map(tree.structure)).size).toBe(3)
    expect(tree.structure(layer())).toBe(tree.structure(new Dense(tensor(1), null)))
  })

  test('go through transforms', async () => {
    const loss = (dense: Dense): Value => sum(apply(dense, tensor([3, 4])))
    const gradient = grad(loss)(layer())
    expect(gradient).toBeInstanceOf(Dense)
    expect([...(await gradient.weight.data())]).toEqual([3, 4])
    const [, pullback] = vjp(loss, layer())
    expect([...(await pullback(tensor(2))[0].weight.data())]).toEqual([6, 8])
    const [, tangent] = jvp(loss, [layer()], [new Dense(tensor([1, 1]), null)])
    expect(await tangent.item()).toBe(7)
    const rows = vmap((dense: Dense, x: Value) => new Dense(apply(dense, x), null), { inAxes: [null, 0] })(
      layer(),
      tensor([
        [1, 1],
        [-1, 2],
      ]),
    )
    expect([...(await rows.weight.data())]).toEqual([1, 2, 0, 4])
    expect(rows.weight.shape).toEqual([2, 2])
    expect(evalShape((dense: Dense) => dense)(layer()).weight.shape).toEqual([2])
  })

  test('jit retraces when static data change, and only then', async () => {
    let traces = 0
    const step = jit((dense: Dense): Dense => {
      traces++
      return new Dense(apply(dense, tensor([-1, 1])), null, dense.activation)
    })
    expect([...(await step(layer()).weight.data())]).toEqual([0, 2])
    expect([...(await step(layer()).weight.data())]).toEqual([0, 2])
    expect(traces).toBe(1)
    const other = step(new Dense(tensor([1, 2]), null, 'none'))
    expect([...(await other.weight.data())]).toEqual([-1, 2])
    expect(other.activation).toBe('none')
    expect(traces).toBe(2)
  })

  test('axes of vmap are instances, or end above', async () => {
    const both = new Dense(tensor([[1, 2]]), tensor([[5]]), 'none')
    const f = ({ weight, bias }: Dense): Value => mul(weight, bias!)
    const axes = new Dense(0 as never, 1 as never, 'none')
    expect((await vmap(f, { inAxes: [axes as never] })(both)).shape).toEqual([1, 2])
  })
})

const anything = (x: unknown) => x as never
const v3 = tensor([1, 2, 3])
const layer = new Dense(v3, null)
const failures: Readonly<Record<string, () => unknown>> = {
  'a leaf where tree 1 has none': () => tree.map((x: Value) => x, { a: null, b: v3 }, { a: v3, b: v3 }),
  'another class': () => tree.map((x: Value) => x, [layer], [{ weight: v3, bias: null }]),
  'other static data': () => tree.map((x: Value) => x, [layer], [new Dense(v3, null, 'none')]),
  'a class registered twice': () => tree.register(Dense, { flatten: () => [[], 0], unflatten: () => layer }),
  'children that are no branch': () => {
    class Wrong {}
    tree.register(Wrong, { flatten: () => [v3, 0], unflatten: () => new Wrong() })
    tree.leaves(new Wrong())
  },
  'another inner tree': () => tree.transpose({ a: 0, b: 0 }, [0, 0], { a: [1, 2], b: [3] }),
  'another outer tree': () => tree.transpose({ x: { a: 0, b: 0 } }, [0], { x: { a: [1] } }),
  'halves of different trees': () => tree.combine<unknown>({ x: [1, null] }, { x: [null] }),
  'an instance as an argument': () => jit((p: unknown) => anything(p))({ layers: [new Plain()] }),
  'an implicit weight as an argument': () =>
    jit(function loss(p: { q: unknown }) {
      return anything(p.q)
    })({ q: diagonal(v3) }),
  'an axis too many': () => vmap((x: Value) => x, { inAxes: [0, 0] })(v3),
  'an axis of nothing': () => vmap((p: { w: Value }) => p.w, { inAxes: [{ w: 0, bias: 0 }] })({ w: v3 }),
  'no axis for a parameter': () =>
    vmap((p: { w: Value; b: Value }) => p.w, { inAxes: [{ w: 0 }] })({ w: v3, b: v3 }),
  'a branch of axes for an array': () => vmap((p: { w: Value }) => p.w, { inAxes: [{ w: [0] }] })({ w: v3 }),
  'an axis that is text': () => vmap((x: Value) => x, { inAxes: anything(['0']) })(v3),
  'an axis that is a fraction': () => vmap((x: Value) => x, { inAxes: 0.5 })(v3),
  'an axis of no result': () => vmap((x: Value) => [x], { outAxes: [0, 0] })(v3),
}

test('messages', () => {
  const messages = Object.entries(failures).map(([name, f]) => {
    try {
      f()
    } catch (error) {
      return `${name}\n  ${(error as Error).name} ${(error as Error).message.replaceAll(/#\d+/g, '#n')}`
    }
    return `${name}\n  no error`
  })
  expect(messages.join('\n')).toMatchInlineSnapshot(`
    "a leaf where tree 1 has none
      TypeError tree.map: tree 1 has nothing at "a", but tree 2 has; remove it there
    another class
      TypeError tree.map: tree 2 has another kind of node at "0" than tree 1; make both instances of one class with the same static data
    other static data
      TypeError tree.map: tree 2 has another kind of node at "0" than tree 1; make both instances of one class with the same static data
    a class registered twice
      TypeError tree.register: Dense is a branch already; register a class once
    children that are no branch
      TypeError tree.register: flatten of Wrong gives children that are no branch; return [children, data] with an array or object of children
    another inner tree
      TypeError tree.transpose: the tree has [*] at "b", not [*,*]; give it the structure of the inner tree
    another outer tree
      TypeError tree.transpose: the tree has {"a":[*]} at "x", where the outer tree has {"a":*,"b":*}; make them agree
    halves of different trees
      TypeError tree.combine: the trees have [*,-] and [-] at "x"; give the two halves of one tree
    an instance as an argument
      TypeError jit: "layers.0" of argument 0 is of class Plain; pass the arrays it is made of and make it inside of the function, or register the class with tree.register
    an implicit weight as an argument
      TypeError loss: "q" of argument 0 is of class Implicit; pass the arrays it is made of and make it inside of the function, or register the class with tree.register
    an axis too many
      TypeError vmap: inAxes has "1", which is not there; remove it
    an axis of nothing
      TypeError vmap: inAxes has "0.bias", which is not there; remove it
    no axis for a parameter
      TypeError vmap: inAxes has nothing at "0.b"; give an axis or null
    a branch of axes for an array
      TypeError vmap: inAxes has a branch at "0.w", where an array is; give an axis or null
    an axis that is text
      TypeError vmap: inAxes has a string at "0"; give an axis or null
    an axis that is a fraction
      RangeError vmap: axis 0.5 is outside an argument of type f32[3]; name an axis it has, or null
    an axis of no result
      TypeError vmap: outAxes has "1", which is not there; remove it"
  `)
})
