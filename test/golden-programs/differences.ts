// Programs whose results are not JAX's, and why. The tests fail where one of them agrees after all.

export const differences: Readonly<Record<string, string>> = {
  'take outside': 'take has no modes yet: it clamps',
  'grad of take outside': 'take has no modes yet: it clamps',
  'pad with its gradient': 'pad has no value yet: it pads with zeros',
}
