// Two kernels that show what an adapter can do: multiply-adds that need nothing else, and a copy.

const workgroup = 64
const range = (length: number): number[] => Array.from({ length }, (_, k) => k)

/** So many sums of four lanes that do not wait for each other, and so many multiply-adds on each before the loop turns. */
const [chains, unrolled] = [16, 4]
const threads = 2 ** 15
const operations = threads * chains * unrolled * 4 * 2

const arithmetic = `
@group(0) @binding(0) var<storage, read> turns: array<u32>;
@group(0) @binding(1) var<storage, read_write> sums: array<vec4<f32>>;
@compute @workgroup_size(${workgroup})
fn main(@builtin(global_invocation_id) id: vec3<u32>) {
  let x = vec4<f32>(0.5 + f32(id.x & 7u) * 0.01);
${range(chains)
  .map((k) => `  var sum${k} = x + ${k}.0;`)
  .join('\n')}
  for (var turn = 0u; turn < turns[0]; turn++) {
${range(chains * unrolled)
  .map((k) => `    sum${k % chains} = fma(sum${k % chains}, x, x);`)
  .join('\n')}
  }
  sums[id.x] = ${range(chains)
    .map((k) => `sum${k}`)
    .join(' + ')};
}`

/** Bytes that are copied: more than the caches of most adapters hold. A thread copies four vectors. */
const copied = 2 ** 25
const copiers = copied / 64

const copy = `
@group(0) @binding(0) var<storage, read> given: array<vec4<f32>>;
@group(0) @binding(1) var<storage, read_write> taken: array<vec4<f32>>;
@compute @workgroup_size(${workgroup})
fn main(@builtin(global_invocation_id) id: vec3<u32>) {
${range(4)
  .map((k) => `  taken[id.x + ${k * copiers}u] = given[id.x + ${k * copiers}u];`)
  .join('\n')}
}`

/** Reads how often to turn from its first array, of one word, and writes the second; how many operations a turn has. */
export const arithmeticKernel = {
  wgsl: arithmetic,
  workgroups: threads / workgroup,
  operations,
  results: 16 * threads, // bytes
} as const

/** Copies so many bytes from its first array to the second. */
export const copyKernel = { wgsl: copy, workgroups: copiers / workgroup, bytes: copied } as const
