// The 16-bit floats on the host: rounding to them from double precision, and their bits. f16 has 5 bits of exponent and 10 of
// fraction, bf16 has 8 and 7, as the upper half of an f32.

export type Half = 'f16' | 'bf16'

const formats = {
  f16: { digits: 10, lowest: -14, largest: 65504 },
  bf16: { digits: 7, lowest: -126, largest: (2 - 2 ** -7) * 2 ** 127 },
} as const

const scratch = new DataView(new ArrayBuffer(8))

/** The nearest whole number, the even one at a tie. */
function roundEven(x: number): number {
  const below = Math.floor(x)
  const rest = x - below
  return rest > 0.5 || (rest === 0.5 && below % 2 !== 0) ? below + 1 : below
}

/** The nearest number of the type, the even one at a tie; too large ones become infinite. */
export function roundHalf(dtype: Half, x: number): number {
  if (x === 0 || !Number.isFinite(x)) return x
  const { digits, lowest, largest } = formats[dtype]
  scratch.setFloat64(0, Math.abs(x))
  const exponent = (scratch.getUint16(0) >> 4) - 1023
  const unit = 2 ** (Math.max(exponent, lowest) - digits)
  const size = roundEven(Math.abs(x) / unit) * unit
  const finite = size > largest ? Number.POSITIVE_INFINITY : size
  return x < 0 ? -finite : finite
}

/** The bits of the nearest number of the type. */
function bitsOf(dtype: Half, x: number): number {
  if (Number.isNaN(x)) return dtype === 'f16' ? 0x7e00 : 0x7fc0
  scratch.setFloat32(0, roundHalf(dtype, x))
  const bits = scratch.getUint32(0)
  if (dtype === 'bf16') return bits >>> 16
  const [sign, size] = [(bits >>> 16) & 0x8000, bits & 0x7fffffff]
  if (size === 0x7f800000) return sign | 0x7c00
  if (size >= 0x38800000) return sign | ((size - 0x38000000) >>> 13)
  return sign | (Math.abs(scratch.getFloat32(0)) * 2 ** 24)
}

/** Numbers as bits, rounded; an odd count gets one more, so that they fill 32-bit words. */
export function packHalves(dtype: Half, numbers: ArrayLike<number>): Uint16Array {
  const bits = new Uint16Array(numbers.length + (numbers.length % 2))
  for (let i = 0; i < numbers.length; i++) bits[i] = bitsOf(dtype, numbers[i]!)
  return bits
}

/** The numbers that bits stand for, exactly. */
export function unpackHalves(dtype: Half, bits: Uint16Array): Float32Array {
  if (dtype === 'bf16') {
    const words = new Uint32Array(bits)
    for (let i = 0; i < words.length; i++) words[i]! <<= 16
    return new Float32Array(words.buffer)
  }
  const data = new Float32Array(bits.length)
  for (let i = 0; i < data.length; i++) {
    const [exponent, fraction] = [(bits[i]! >> 10) & 31, bits[i]! & 1023]
    const finite = exponent ? (1024 + fraction) * 2 ** (exponent - 25) : fraction * 2 ** -24
    const magnitude = exponent < 31 ? finite : fraction ? Number.NaN : Number.POSITIVE_INFINITY
    data[i] = bits[i]! >> 15 ? -magnitude : magnitude
  }
  return data
}
