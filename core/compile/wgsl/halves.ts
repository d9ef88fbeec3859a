// The 16-bit floats in WGSL, by operations on bits: WGSL's own packing may round either way and flush small numbers. A load
// takes a word and the place of the element, of which the lowest bit chooses the half.

/** What the name of a function ends in names the type; each is written after those it calls. */
const functions: Readonly<Record<string, { readonly calls: readonly string[]; readonly text: string }>> = {
  from_bf16: {
    calls: [],
    text: `fn from_bf16(half: u32) -> f32 {
  return bitcast<f32>(half << 16u);
}`,
  },
  to_bf16: {
    calls: [],
    text: `fn to_bf16(x: f32) -> u32 {
  let bits = bitcast<u32>(x);
  let isNan = (bits & 0x7fffffffu) > 0x7f800000u;
  return select((bits + 0x7fffu + ((bits >> 16u) & 1u)) >> 16u, 0x7fc0u, isNan);
}`,
  },
  from_f16: {
    calls: [],
    text: `fn from_f16(half: u32) -> f32 {
  let size = half & 0x7fffu;
  let small = bitcast<u32>(f32(size) * 5.9604644775390625e-8f);
  let special = (size << 13u) | 0x7f800000u;
  let normal = select((size << 13u) + 0x38000000u, special, size >= 0x7c00u);
  return bitcast<f32>(((half & 0x8000u) << 16u) | select(normal, small, size < 0x400u));
}`,
  },
  to_f16: {
    calls: [],
    text: `fn to_f16(x: f32) -> u32 {
  let bits = bitcast<u32>(x);
  let size = bits & 0x7fffffffu;
  let sign = (bits >> 16u) & 0x8000u;
  if (size > 0x7f800000u) { return 0x7e00u; }
  if (size >= 0x477ff000u) { return sign | 0x7c00u; }
  if (size >= 0x38800000u) {
    return sign | ((size - 0x38000000u + 0xfffu + ((size >> 13u) & 1u)) >> 13u);
  }
  let digits = (size & 0x7fffffu) | 0x800000u;
  let lost = min(126u - (size >> 23u), 31u);
  return sign | ((digits + (1u << (lost - 1u)) - 1u + ((digits >> lost) & 1u)) >> lost);
}`,
  },
  ...of('bf16'),
  ...of('f16'),
}

function of(dtype: string) {
  return {
    [`load_${dtype}`]: {
      calls: [`from_${dtype}`],
      text: `fn load_${dtype}(word: u32, at: u32) -> f32 {
  return from_${dtype}((word >> ((at & 1u) << 4u)) & 0xffffu);
}`,
    },
    [`load4_${dtype}`]: {
      calls: [`from_${dtype}`],
      text: `fn load4_${dtype}(words: vec2<u32>) -> vec4<f32> {
  let low = words & vec2<u32>(0xffffu);
  let high = words >> vec2<u32>(16u);
  return vec4<f32>(from_${dtype}(low.x), from_${dtype}(high.x), from_${dtype}(low.y), from_${dtype}(high.y));
}`,
    },
    [`store4_${dtype}`]: {
      calls: [`to_${dtype}`],
      text: `fn store4_${dtype}(x: vec4<f32>) -> vec2<u32> {
  return vec2<u32>(to_${dtype}(x.x) | (to_${dtype}(x.y) << 16u), to_${dtype}(x.z) | (to_${dtype}(x.w) << 16u));
}`,
    },
    [`round_${dtype}`]: {
      calls: [`from_${dtype}`, `to_${dtype}`],
      text: `fn round_${dtype}(x: f32) -> f32 {
  return from_${dtype}(to_${dtype}(x));
}`,
    },
    [`round4_${dtype}`]: {
      calls: [`from_${dtype}`, `to_${dtype}`, `round_${dtype}`],
      text: `fn round4_${dtype}(x: vec4<f32>) -> vec4<f32> {
  return vec4<f32>(round_${dtype}(x.x), round_${dtype}(x.y), round_${dtype}(x.z), round_${dtype}(x.w));
}`,
    },
  }
}

/** The text of these functions, after the ones they call. */
export function functionsOf(names: ReadonlySet<string>): string[] {
  const needed = new Set([...names].flatMap((name) => [...functions[name]!.calls, name]))
  return Object.keys(functions).flatMap((name) => (needed.has(name) ? ['', functions[name]!.text] : []))
}
