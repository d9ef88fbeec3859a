// Text that tells things apart which are no arrays: plain data by what it is, anything else by which object it is.

const identities = new WeakMap<object, number>()
let identified = 0

/** A number that tells objects apart. */
export function identityOf(value: object): number {
  if (!identities.has(value)) identities.set(value, identified++)
  return identities.get(value)!
}

/** Text that is equal for equal plain data, and otherwise for the same object only. */
export function keyOf(value: unknown): string {
  if (typeof value === 'string') return JSON.stringify(value)
  if (Array.isArray(value)) return `[${value.map(keyOf)}]`
  if ((typeof value !== 'object' && typeof value !== 'function') || value === null)
    return `${typeof value} ${Object.is(value, -0) ? '-0' : String(value)}`
  if (Object.getPrototypeOf(value) === Object.prototype)
    return `{${Object.entries(value).map(([key, inner]) => `${JSON.stringify(key)}:${keyOf(inner)}`)}}`
  return `#${identityOf(value)}`
}
