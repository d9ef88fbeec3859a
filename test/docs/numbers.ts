// docs/numbers.md, from the table of budgets.

import {
  activations,
  elementwise,
  type Fact,
  facts,
  type NumberRow,
  type Range,
} from '../laws/numbers.table.ts'
import type { Budget } from '../support/close.ts'

const number = (x: number): string => {
  const size = Math.abs(x)
  const isPlain = x === 0 || (size >= 1e-4 && size < 1e8)
  const text = isPlain ? String(Number(x.toPrecision(9))) : String(Number(x.toPrecision(9)).toExponential())
  return text.replace('e+', 'e').replace('Infinity', '∞').replaceAll('-', '−')
}

function budgetText({ ulps, relative, absolute }: Budget): string {
  const parts = [
    ulps ? `${ulps} ulp` : '',
    relative === undefined ? '' : `${number(relative)} of it`,
    absolute === undefined ? '' : number(absolute),
  ].filter((part) => part !== '')
  return parts.join(' + ') || 'exact'
}

function rangeText({ low, high, smallest }: Range): string {
  const sizes = low < 0 && high > 0 && smallest > 1e-30 ? `, from ±${number(smallest)} on` : ''
  return `[${number(low)}, ${number(high)}]${sizes}`
}

const rowText = ({ name, ranges, budget }: NumberRow): string =>
  `| ${name} | ${[...new Set(ranges.map(rangeText))].join(' and ')} | ${budgetText(budget)} |`

const factText = ({ name, expected, budget }: Fact): string =>
  `| ${name} | ${number(expected)} | ${budgetText(budget)} |`

const table = (head: string, rows: readonly string[]): string =>
  [`| ${head.split(', ').join(' | ')} |`, '|---|---|---|', ...rows].join('\n')

/** The page. */
export const numbersPage = (): string => `# Numbers

What an f32 function computes is within these bounds of its value in double precision, on every adapter. \`test/laws/numbers.test.ts\`
holds the device to them on twenty thousand inputs for each row, half spread evenly and half by magnitude, and this page is written
from the same table by \`test/docs/numbers.ts\`.

An ulp is the distance of neighbouring f32 numbers at the expected value. Left out are subnormal numbers (below 1.18e−38), which
adapters may take for 0, the sign of a zero, and results too large for a float. Zeros, infinities and NaN give what JAX gives,
by \`test/golden/elementwise.json\`; the few places where JAX itself is far from double precision are named in the test.

## Element-wise functions

${table('function, inputs, within', elementwise.map(rowText))}

Integers wrap. Division by 0 gives what XLA gives: \`rem(x, 0)\` is \`x\`, \`mod(x, 0)\` is 0, and \`floorDivide\` begins with −1.
Shifts by 32 places and more give 0, or −1 of a negative i32 to the right.

## Activations

${table('function, inputs, within', activations.map(rowText))}

## Single values

${table('expression, value, within', facts.map(factText))}
`
