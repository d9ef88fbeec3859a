// What is said when something is wrong: `op: fact; remedy`, each message here word for word.

import { describe, expect, test } from 'vitest'
import { grad, jvp, valueAndGrad, vjp, vmap } from '../../autodiff/index.ts'
import * as core from '../../core/index.ts'
import { tensor, type Value } from '../../core/index.ts'

const m23 = tensor([
  [1, 2, 3],
  [4, 5, 6],
])
const m43 = core.zeros([4, 3])
const v3 = tensor([1, 2, 3])
const i3 = tensor([0, 1, 2], { dtype: 'i32' })
const tree = (x: Value) => ({ layers: [{ q: x }] })

let escaped: Value = v3
core.makeGraph((x: Value) => {
  escaped = x
  return x
})(v3)

/** A tensor that was given away, and what gave it away. */
function donated() {
  const step = core.jit(
    function step(x: Value) {
      return core.neg(x)
    },
    { donate: [0] },
  )
  const x = tensor([1])
  step(x)
  return { x, step }
}

function disposed() {
  const x = tensor([1])
  x.dispose()
  return x
}

/** What the types forbid, as it comes from JavaScript. */
const anything = (x: unknown) => x as never

const failures: Readonly<Record<string, () => unknown>> = {
  'shapes that do not broadcast': () => core.add(m43, m23),
  'a broadcast to too few axes': () => core.broadcastTo(m23, [3]),
  'an index of two extents': () => core.contract('ik,kj->ij', m23, m43),
  'an operand with too few letters': () => core.contract('i,kj->ij', m23, m43),
  'a letter from nowhere': () => core.contract('ij,jk->iz', m23, m43.slice({ start: [0, 0], end: [3, 3] })),
  'a repeated letter': () => core.contract('ii,ij->j', core.zeros([3, 3]), core.zeros([3, 4])),
  'a letter of one operand only': () => core.contract('ij,kj->i', m23, m43),
  'no letters': () => core.contract('i k, k', m23, m23),
  'a matrix product of numbers': () => core.matmul(m23, 2),
  'a reshape to another size': () => core.reshape(m23, [4, -1]),
  'an axis outside': () => core.sum(m23, { axis: 2 }),
  'an axis of a scalar': () => core.sum(core.sum(m23), { axis: 0 }),
  'an axis named twice': () => core.sum(m23, { axis: [1, -1] }),
  'no permutation': () => core.transpose(m23, [1, 1]),
  'a slice outside': () => core.slice(m23, { start: [0, 1], end: [2, 4] }),
  'a slice of too few axes': () => core.slice(m23, { start: [0], end: [1] }),
  'padding that does not fit': () => core.pad(m23, { before: [1], after: [0] }),
  'arrays that do not continue': () => core.concatenate([m23, v3.reshape([3, 1])]),
  'nothing to concatenate': () => core.concatenate([]),
  'a squeeze of a thick axis': () => core.squeeze(m23, 1),
  'indices that are floats': () => core.take(m23, v3),
  'indices that do not fit': () => core.pick(m23, i3),
  'an operation without meaning for a dtype': () => core.bitwiseAnd(v3, v3),
  'bits of a bool': () => core.bitcast(core.equal(v3, 1), 'i32'),
  'a fractional power': () => core.integerPow(v3, 0.5),
  'a negative power of integers': () => core.integerPow(i3, -1),
  'a fraction among integers': () => core.full([2], 0.5, 'i32'),
  'a primitive on two dtypes': () => core.bind(core.add.primitive, [v3, i3], {}),
  'a string operand': () => core.add(v3, anything('1')),
  'a string for an array': () => core.reshape(anything('1'), [1]),
  'rows of different lengths': () => tensor([[1, 2], [3]]),
  'elements that do not fill': () => tensor([1, 2, 3], { shape: [2, 2] }),
  'an array as a number': () => Number(v3) + 1,
  'a comparison of an array': () => (v3 as unknown as number) > 0,

  'a traced value in arithmetic': () => core.jit((x: Value) => core.mul(x, (x as unknown as number) + 1))(v3),
  'a traced value in a condition': () => core.jit((x: Value) => ((x as unknown as number) > 0 ? x : 0))(v3),
  'an escaped value in an operation': () => core.add(escaped, 1),
  'an escaped value in another trace': () => core.jit((x: Value) => core.mul(x, escaped))(v3),
  'an escaped value as an argument': () => core.jit(core.neg)(escaped),
  'an escaped value as a result': () => core.jit(() => escaped)(),
  'reading a traced value': () => escaped.data(),
  'a promise': () =>
    core.jit(async function step(x: Value) {
      return x
    })(v3),
  'a string argument': () =>
    core.jit(function loss(batch: Value) {
      return batch
    })(anything({ tokens: 'abc' })),
  'a string result': () => core.jit((x: Value) => ({ x, name: 'abc' }))(v3),
  'a donated array again': () => {
    const { x, step } = donated()
    return step(x)
  },
  'a donated array in an operation': () => core.add(donated().x, 1),
  'reading a donated array': () => donated().x.data(),
  'a disposed array as an argument': () =>
    core.jit(function loss(batch: { x: Value }) {
      return batch.x
    })({ x: disposed() }),
  'reading a disposed array': () => disposed().data(),
  'one item of many': () => v3.item(),

  'trees that disagree': () =>
    core.tree.map((x: Value, y: Value) => core.add(x, y), tree(v3), { layers: [{}] }),
  'a branch for a leaf': () => core.tree.map((x: Value) => x, tree(v3), tree(anything([v3]))),
  'an array for an object': () => core.tree.map((x: Value) => x, { a: v3 }, [v3]),
  'an extra leaf': () => core.tree.map((x: Value) => x, tree(v3), { layers: [{ q: v3, k: v3 }] }),
  'too few leaves': () => core.tree.unflatten(tree(v3), []),

  'a loss that is no scalar': () => grad((x: Value) => core.neg(x))(v3),
  'a loss of several arrays': () => grad((x: Value) => anything([core.sum(x), x]))(v3),
  'an integer loss': () => grad((x: Value) => core.sum(core.cast(x, 'i32')))(v3),
  'an aux that is missing': () => valueAndGrad((x: Value) => anything([[], x]), { hasAux: true })(v3),
  'the gradient of integers': () =>
    grad((p: { ids: Value }) => core.sum(core.cast(p.ids, 'f32')))({ ids: i3 }),
  'the gradient of traced integers': () =>
    core.jit((ids: Value) => grad((ids: Value) => core.sum(core.cast(ids, 'f32')))(ids))(i3),
  'an argument that is not there': () => grad((x: Value) => core.sum(x), { argnums: 1 })(v3),
  'tangents of another shape': () => jvp(core.neg, [v3], [m23]),
  'too few tangents': () => jvp(core.add, [v3, v3], anything([v3])),
  'a cotangent of another type': () => vjp((x: Value) => core.neg(x), v3)[1](m23),
  'batches of different sizes': () => vmap(core.add)(m23, m43),
  'no batch axis': () => vmap(core.neg, { inAxes: null })(v3),
  'a batch axis outside': () => vmap(core.neg, { inAxes: 1 })(v3),
  'batch axes for too few arguments': () => vmap(core.add, { inAxes: [0] })(v3, v3),
  'a shared result that differs': () => vmap(core.neg, { outAxes: null })(v3),
}

/** The message, of an error that is thrown or that a promise brings. */
async function messageOf(f: () => unknown): Promise<string> {
  try {
    await f()
  } catch (error) {
    return `${(error as Error).name} ${(error as Error).message}`
  }
  return 'no error'
}

describe('messages', () => {
  test.each(Object.entries(failures))('%s: have the form `op: fact; remedy`', async (_, f) => {
    expect(await messageOf(f)).toMatch(/^(Type|Range)?Error [\w.]+( \S+)?: [^;]+; [^;]*[^;.]$/)
  })

  test('read', async () => {
    const messages = await Promise.all(
      Object.entries(failures).map(async ([name, f]) => `${name}\n  ${await messageOf(f)}`),
    )
    expect(messages.join('\n')).toMatchInlineSnapshot(`
      "shapes that do not broadcast
        TypeError add: shapes [4,3] and [2,3] do not broadcast: axis 0 is 4 on the left and 2 on the right; make them equal, or one of them 1
      a broadcast to too few axes
        TypeError broadcastTo: f32[2,3] does not broadcast to [3]; from the right, its axes must be 1 or equal
      an index of two extents
        TypeError contract ik,kj->ij: index k is 3 in lhs [2,3] but 4 in rhs [4,3]; they must agree
      an operand with too few letters
        TypeError contract i,kj->ij: lhs has 2 axes, [2,3], but 1 letters; write one for each axis
      a letter from nowhere
        TypeError contract ij,jk->iz: index z of the result is in no operand; take letters of the operands
      a repeated letter
        TypeError contract ii,ij->j: "ii" repeats a letter; use where() and sum
      a letter of one operand only
        TypeError contract ij,kj->i: index k is in one operand only and not in the result; sum over it first
      no letters
        TypeError contract: "i k, k" is no index expression; write it as "ik,kj->ij"
      a matrix product of numbers
        TypeError matmul: f32[2,3] and f32[]* must have at least one axis; use mul
      a reshape to another size
        TypeError reshape: f32[2,3] has 6 elements, which do not fill [4,-1]; the extents must multiply to that
      an axis outside
        RangeError sum: axis 2 is outside an array of rank 2; use -2 to 1
      an axis of a scalar
        RangeError sum: axis 0 is outside an array of rank 0; it has none
      an axis named twice
        RangeError sum: axes [1,-1] name one axis twice; name each once
      no permutation
        RangeError transpose: axes [1,1] are no permutation of the axes of f32[2,3]; name each once
      a slice outside
        RangeError slice: [1, 4) is outside axis 1 of f32[2,3]; stay within 0 and 3
      a slice of too few axes
        RangeError slice: [-1, -1) is outside axis 1 of f32[2,3]; stay within 0 and 3
      padding that does not fit
        RangeError pad: before [1] and after [0] do not fit f32[2,3]; give a count for each axis
      arrays that do not continue
        TypeError concatenate: input 1 is f32[3,1], which does not continue f32[2,3] along axis 0; all but that axis must agree
      nothing to concatenate
        TypeError concatenate: no arrays; pass at least one
      a squeeze of a thick axis
        TypeError squeeze: axis 1 of f32[2,3] has extent 3; name axes of extent 1
      indices that are floats
        TypeError take: indices are f32[3]; cast them to i32
      indices that do not fit
        TypeError pick: indices i32[3] do not fit the rows of f32[2,3]; they must be [2]
      an operation without meaning for a dtype
        TypeError and: not defined on f32[3] and f32[3]; cast to i32 or u32 or bool
      bits of a bool
        TypeError bitcast: bool[3] has no 32 bits of its own; cast it first
      a fractional power
        RangeError integerPow: 0.5 is no whole number; use pow
      a negative power of integers
        RangeError integerPow: i32[3] to the power -1 is a fraction; cast it to f32
      a fraction among integers
        RangeError full: 0.5 is not a i32; use a whole number from -2147483648 to 2147483647
      a primitive on two dtypes
        TypeError add: inputs f32[3] and i32[3] have different dtypes; cast one of them
      a string operand
        TypeError add: operand 1 is of type string; pass arrays, numbers or trees of them
      a string for an array
        TypeError array: the operand is of type string; pass arrays, numbers or trees of them
      rows of different lengths
        TypeError tensor: row 1 has shape [1] but row 0 has [2]; rows must agree
      elements that do not fill
        TypeError tensor: 3 elements do not fill the shape [2,2]; it takes 4
      an array as a number
        TypeError value: f32[3] was used as a JavaScript value; compute with add, mul, …, or read it with data()
      a comparison of an array
        TypeError value: f32[3] was used as a JavaScript value; compute with add, mul, …, or read it with data()
      a traced value in arithmetic
        TypeError trace: a traced f32[3] was used as a JavaScript value; compute with add, mul, less, …, and branch with where() or cond()
      a traced value in a condition
        TypeError trace: a traced f32[3] was used as a JavaScript value; compute with add, mul, less, …, and branch with where() or cond()
      an escaped value in an operation
        Error add: a traced f32[3] escaped its trace; return it from the traced function instead of storing it
      an escaped value in another trace
        Error mul: a traced f32[3] escaped its trace; return it from the traced function instead of storing it
      an escaped value as an argument
        Error apply: a traced f32[3] escaped its trace; return it from the traced function instead of storing it
      an escaped value as a result
        Error trace: a traced f32[3] escaped its trace; return it from the traced function instead of storing it
      reading a traced value
        Error data: a traced f32[3] has no elements yet; return it from the traced function and read the result, or look at it with debug.print
      a promise
        TypeError step: the function returned a promise; make it synchronous, and read results outside of it
      a string argument
        TypeError loss: "tokens" of argument 0 is of type string; pass arrays, numbers or trees of them, or name the argument in staticArgnums
      a string result
        TypeError jit: the output "name" is of type string; pass arrays, numbers or trees of them
      a donated array again
        Error step: argument 0 was donated to an earlier call of step; use the tree that call returned
      a donated array in an operation
        Error add: operand 0 was donated to an earlier call of step; use the tree that call returned
      reading a donated array
        Error data: f32[1] was donated to an earlier call of step; use the tree that call returned
      a disposed array as an argument
        Error loss: "x" of argument 0 was disposed of; dispose of arrays after their last use
      reading a disposed array
        Error data: f32[1] was disposed of; dispose of arrays after their last use
      one item of many
        RangeError item: f32[3] has 3 elements; use data()
      trees that disagree
        TypeError tree.map: tree 2 has nothing at "layers.0.q"; give it what tree 1 has there
      a branch for a leaf
        TypeError tree.map: tree 2 has a branch at "layers.0.q" where tree 1 has a leaf; put a leaf there
      an array for an object
        TypeError tree.map: tree 2 has another kind of node at "" than tree 1; make both objects or both arrays
      an extra leaf
        TypeError tree.map: tree 1 has nothing at "layers.0.k", but tree 2 has; remove it there
      too few leaves
        TypeError tree.unflatten: the tree has 1 leaves but 0 were given; give one for each
      a loss that is no scalar
        TypeError grad: expected a scalar loss, got f32[3]; sum or average it first
      a loss of several arrays
        TypeError grad: the loss has 2 arrays; return one scalar, or set hasAux
      an integer loss
        TypeError grad: expected a float loss, got i32[]; cast it
      an aux that is missing
        TypeError grad: the loss has 0 arrays; return one scalar before the aux
      the gradient of integers
        TypeError grad: argument 0.ids is i32[3]; differentiate with respect to float arrays only
      the gradient of traced integers
        TypeError grad: argument 0 is i32[3]; differentiate with respect to float arrays only
      an argument that is not there
        RangeError grad: argnums names argument 1, but there are 1; count from 0
      tangents of another shape
        TypeError jvp: tangent 0 is f32[2,3] but its primal is f32[3]; they must agree
      too few tangents
        TypeError jvp: the tangents form [*], not [*,*]; give one for each array
      a cotangent of another type
        TypeError vjp: cotangent 0 is f32[2,3] but the output is f32[3]; they must agree
      batches of different sizes
        TypeError vmap: argument 0 has 2 examples and argument 1 has 4; their batch axes must agree, or give null in inAxes for what all share
      no batch axis
        TypeError vmap: no argument has a batch axis; give inAxes at least one number
      a batch axis outside
        RangeError vmap: axis 1 is outside an argument of type f32[3]; name an axis it has, or null
      batch axes for too few arguments
        TypeError vmap: inAxes has nothing at "1"; give an axis or null
      a shared result that differs
        TypeError vmap: outAxes is null for a result that differs between examples; give a number"
    `)
  })
})
