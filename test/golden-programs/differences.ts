// Programs whose results are JAX's but for a named reason.

/**
 * Programs whose meaning differs from JAX's in float64 by rounding alone, and of what: a constant of a program is an f32, in
 * double precision too. They are compared less closely there, and the tests fail where one agrees to all its digits.
 */
export const roundedConstants: Readonly<Record<string, string>> = {
  'gelu both ways': '√(2/π) and 0.044715; √½',
  'special functions with their gradients': '√π/2 in the derivative of erfInv',
}
