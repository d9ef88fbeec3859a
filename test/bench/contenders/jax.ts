// What the cases use of jax-js, as types: it may not be installed. Functions consume their arrays; every use of one but the
// last is of its `.ref`.

type Axis = number | readonly number[] | null

/** An array, or a traced one. */
export interface Arr {
  readonly ref: Arr
  readonly shape: readonly number[]
  add(other: Arr | number): Arr
  sub(other: Arr | number): Arr
  mul(other: Arr | number): Arr
  div(other: Arr | number): Arr
  less(other: Arr | number): Arr
  sum(axis?: Axis): Arr
  mean(axis?: Axis, options?: { readonly keepdims: boolean }): Arr
  reshape(shape: readonly number[]): Arr
  transpose(axes?: readonly number[]): Arr
  slice(...index: (number | readonly number[] | null)[]): Arr
  data(): Promise<ArrayLike<number>>
  blockUntilReady(): Promise<unknown>
  dispose(): void
}

type Operand = Arr | number

export interface Jax {
  init(...devices: string[]): Promise<readonly string[]>
  defaultDevice(device: string): void
  getWebGPUDevice(): GPUDevice
  jit<A extends readonly unknown[], R>(f: (...args: A) => R): (...args: A) => R
  grad<A extends readonly unknown[]>(f: (...args: A) => Arr): (...args: A) => unknown
  valueAndGrad<A extends readonly unknown[]>(
    f: (...args: A) => Arr,
    options?: { readonly argnums: readonly number[] },
  ): (...args: A) => readonly [Arr, unknown]
  vjp(f: (...args: Arr[]) => Arr, primals: readonly Arr[]): readonly [Arr, (ct: Arr) => readonly Arr[]]
  readonly tree: {
    ref<T>(tree: T): T
    dispose(tree: unknown): void
    leaves(tree: unknown): Arr[]
    map<T>(f: (...leaves: Arr[]) => Arr, tree: T, ...rest: unknown[]): T
  }
  readonly numpy: {
    array(data: ArrayLike<number>): Arr
    arange(stop: number): Arr
    zeros(shape: readonly number[]): Arr
    matmul(x: Arr, y: Arr): Arr
    einsum(spec: string, ...xs: Arr[]): Arr
    take(x: Arr, ids: Arr, axis: number): Arr
    where(condition: Arr, x: Operand, y: Operand): Arr
    maximum(x: Operand, y: Operand): Arr
    greaterEqual(x: Arr, y: Arr): Arr
    lessEqual(x: Arr, y: Arr): Arr
    equal(x: Arr, y: Arr): Arr
    reciprocal(x: Arr): Arr
    sqrt(x: Arr): Arr
    sign(x: Arr): Arr
    flip(x: Arr, axis: number): Arr
    argmax(x: Arr, axis: number): Arr
  }
  readonly nn: {
    softmax(x: Arr, axis: number): Arr
    silu(x: Arr): Arr
    logsumexp(x: Arr, axis: number): Arr
  }
}
