// WebAssembly's instructions as far as kernels need them: their codes, and what follows each in a module.

/** What follows a code: nothing, a number, a place in memory (its alignment and an offset), a lane, or more. */
type Follows =
  | 'nothing'
  | 'block'
  | 'index'
  | 'i32'
  | 'f32'
  | 'memory'
  | 'memory lane'
  | 'lane'
  | 'lanes'
  | 'vector'
  | 'memories'

/** An instruction's name and its numbers. */
export type Instruction = readonly [name: string, ...numbers: number[]]

interface Code {
  /** The first byte; of groups of instructions, the number within the group follows. */
  readonly first: number
  readonly second: number | null
  readonly follows: Follows
  /** Values that it takes from the stack. */
  readonly takes: number
  /** Whether it leaves one. */
  readonly gives: boolean
}

const codes = new Map<string, Code>()

/** Instructions that take a number of values and leave none, or those that are not told by what follows them. */
const others: Readonly<Record<string, readonly [takes: number, gives: boolean]>> = {
  unreachable: [0, false],
  else: [0, false],
  end: [0, false],
  return: [0, false],
  drop: [1, false],
  block: [0, false],
  loop: [0, false],
  if: [1, false],
  br: [0, false],
  br_if: [1, false],
  call: [0, false],
  'local.get': [0, true],
  'local.set': [1, false],
  'local.tee': [1, true],
  'memory.copy': [3, false],
  'memory.atomic.notify': [2, true],
  'memory.atomic.wait32': [3, true],
  'i32.atomic.rmw.add': [2, true],
  'v128.bitselect': [3, true],
  'i8x16.shuffle': [2, true],
  'i64.const': [0, true],
  select: [3, true],
}

const binary =
  /\.(?:add|sub|mul|div|div_s|div_u|rem_s|rem_u|and|or|xor|shl|shr_s|shr_u|min|max|pmin|pmax|(?:min|max)_[su]|eq|ne|lt|le|(?:lt|le)_[su]|replace_lane|load32_lane)$/

function stackOf(name: string): readonly [takes: number, gives: boolean] {
  const known = others[name]
  if (known !== undefined) return known
  if (name.endsWith('.const')) return [0, true]
  if (/\.(?:atomic\.)?store/.test(name)) return [2, false]
  return [binary.test(name) ? 2 : 1, true]
}

const define = (follows: Follows, first: number | null, list: Readonly<Record<string, number>>): void => {
  for (const [name, code] of Object.entries(list)) {
    const [takes, gives] = stackOf(name)
    const place = first === null ? { first: code, second: null } : { first, second: code }
    codes.set(name, { ...place, follows, takes, gives })
  }
}

define('nothing', null, {
  unreachable: 0x00,
  else: 0x05,
  end: 0x0b,
  return: 0x0f,
  drop: 0x1a,
  select: 0x1b,
  'i32.eqz': 0x45,
  'i32.eq': 0x46,
  'i32.ne': 0x47,
  'i32.lt_s': 0x48,
  'i32.lt_u': 0x49,
  'i32.le_s': 0x4c,
  'i32.le_u': 0x4d,
  'f32.eq': 0x5b,
  'f32.ne': 0x5c,
  'f32.lt': 0x5d,
  'f32.le': 0x5f,
  'i32.clz': 0x67,
  'i32.popcnt': 0x69,
  'i32.add': 0x6a,
  'i32.sub': 0x6b,
  'i32.mul': 0x6c,
  'i32.div_s': 0x6d,
  'i32.div_u': 0x6e,
  'i32.rem_s': 0x6f,
  'i32.rem_u': 0x70,
  'i32.and': 0x71,
  'i32.or': 0x72,
  'i32.xor': 0x73,
  'i32.shl': 0x74,
  'i32.shr_s': 0x75,
  'i32.shr_u': 0x76,
  'f32.abs': 0x8b,
  'f32.neg': 0x8c,
  'f32.ceil': 0x8d,
  'f32.floor': 0x8e,
  'f32.nearest': 0x90,
  'f32.sqrt': 0x91,
  'f32.add': 0x92,
  'f32.sub': 0x93,
  'f32.mul': 0x94,
  'f32.div': 0x95,
  'i64.extend_i32_u': 0xad,
  'i64.mul': 0x7e,
  'i64.div_u': 0x80,
  'i32.wrap_i64': 0xa7,
  'f32.convert_i32_s': 0xb2,
  'f32.convert_i32_u': 0xb3,
  'i32.reinterpret_f32': 0xbc,
  'f32.reinterpret_i32': 0xbe,
})
define('block', null, { block: 0x02, loop: 0x03, if: 0x04 })
define('index', null, {
  br: 0x0c,
  br_if: 0x0d,
  call: 0x10,
  'local.get': 0x20,
  'local.set': 0x21,
  'local.tee': 0x22,
})
define('i32', null, { 'i32.const': 0x41 })
define('f32', null, { 'f32.const': 0x43 })
define('memory', null, {
  'i32.load': 0x28,
  'f32.load': 0x2a,
  'i32.load16_u': 0x2f,
  'i32.store': 0x36,
  'f32.store': 0x38,
  'i32.store16': 0x3b,
})
define('nothing', 0xfc, { 'i32.trunc_sat_f32_s': 0x00, 'i32.trunc_sat_f32_u': 0x01 })
define('memories', 0xfc, { 'memory.copy': 0x0a })
define('memory', 0xfd, {
  'v128.load': 0x00,
  'v128.load32_splat': 0x09,
  'v128.store': 0x0b,
  'v128.load64_zero': 0x5d,
})
define('vector', 0xfd, { 'v128.const': 0x0c })
define('lanes', 0xfd, { 'i8x16.shuffle': 0x0d })
define('memory lane', 0xfd, {
  'v128.load32_lane': 0x56,
  'v128.store64_lane': 0x5b,
})
define('lane', 0xfd, {
  'i32x4.extract_lane': 0x1b,
  'i32x4.replace_lane': 0x1c,
  'f32x4.extract_lane': 0x1f,
  'f32x4.replace_lane': 0x20,
})
define('nothing', 0xfd, {
  'i32x4.splat': 0x11,
  'f32x4.splat': 0x13,
  'i32x4.eq': 0x37,
  'i32x4.ne': 0x38,
  'i32x4.lt_s': 0x39,
  'i32x4.lt_u': 0x3a,
  'i32x4.le_s': 0x3d,
  'i32x4.le_u': 0x3e,
  'f32x4.eq': 0x41,
  'f32x4.ne': 0x42,
  'f32x4.lt': 0x43,
  'f32x4.le': 0x45,
  'v128.not': 0x4d,
  'v128.and': 0x4e,
  'v128.or': 0x50,
  'v128.xor': 0x51,
  'v128.bitselect': 0x52,
  'i8x16.popcnt': 0x62,
  'f32x4.ceil': 0x67,
  'f32x4.floor': 0x68,
  'f32x4.nearest': 0x6a,
  'i16x8.extadd_pairwise_i8x16_u': 0x7d,
  'i32x4.extadd_pairwise_i16x8_u': 0x7f,
  'i32x4.abs': 0xa0,
  'i32x4.neg': 0xa1,
  'i32x4.extend_low_i16x8_u': 0xa9,
  'i32x4.shl': 0xab,
  'i32x4.shr_s': 0xac,
  'i32x4.shr_u': 0xad,
  'i32x4.add': 0xae,
  'i32x4.sub': 0xb1,
  'i32x4.mul': 0xb5,
  'i32x4.min_s': 0xb6,
  'i32x4.min_u': 0xb7,
  'i32x4.max_s': 0xb8,
  'i32x4.max_u': 0xb9,
  'f32x4.abs': 0xe0,
  'f32x4.neg': 0xe1,
  'f32x4.sqrt': 0xe3,
  'f32x4.add': 0xe4,
  'f32x4.sub': 0xe5,
  'f32x4.mul': 0xe6,
  'f32x4.div': 0xe7,
  'f32x4.pmin': 0xea,
  'f32x4.pmax': 0xeb,
  'i32x4.trunc_sat_f32x4_s': 0xf8,
  'i32x4.trunc_sat_f32x4_u': 0xf9,
  'f32x4.convert_i32x4_s': 0xfa,
  'f32x4.convert_i32x4_u': 0xfb,
})
define('memory', 0xfe, {
  'memory.atomic.notify': 0x00,
  'memory.atomic.wait32': 0x01,
  'i32.atomic.load': 0x10,
  'i32.atomic.store': 0x17,
  'i32.atomic.rmw.add': 0x1e,
})
define('i32', null, { 'i64.const': 0x42 })

/** The code of an instruction, or an error that names it. */
export function codeOf(name: string): Code {
  const code = codes.get(name)
  if (code === undefined)
    throw new Error(`wasm: there is no instruction ${name}; this is a defect of the compiler`)
  return code
}
