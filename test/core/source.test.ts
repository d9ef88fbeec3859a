// The user's line in a stack: the first frame that is neither the package nor Node nor an installed package.

import { expect, test } from 'vitest'
import { userLine } from '../../core/source.ts'

const root = new URL('../../', import.meta.url).pathname
const cases: readonly (readonly [string, string, string | null])[] = [
  [
    'V8',
    `Error\n    at add (${root}core/ops/add.ts:1:2)\n    at train (/home/u/train.ts:12:3)`,
    '/home/u/train.ts:12:3',
  ],
  [
    'V8, no function',
    '    at node:internal/x:1:2\n    at async /home/u/train.ts:12:3',
    '/home/u/train.ts:12:3',
  ],
  [
    'a URL',
    `    at f (file://${root}nn/linear.ts:1:2)\n    at file:///home/u%20v/a.ts?t=1:2:3`,
    '/home/u v/a.ts:2:3',
  ],
  ['others', `add@${root}core/ops/add.ts:1:2\ntrain@/home/u/train.ts:12:3`, '/home/u/train.ts:12:3'],
  [
    'an installed package',
    '    at f (/home/u/node_modules/p/a.js:1:2)\n    at g (/home/u/b.ts:3:4)',
    '/home/u/b.ts:3:4',
  ],
  [
    'tests and examples',
    `    at f (${root}index.ts:1:2)\n    at g (${root}examples/b.ts:3:4)`,
    `${root}examples/b.ts:3:4`,
  ],
  ['nobody', `    at f (${root}peft/lora.ts:1:2)\n    at <anonymous>`, null],
]

test.each(cases)('%s', (_, stack, expected) => expect(userLine(stack)).toBe(expected))
