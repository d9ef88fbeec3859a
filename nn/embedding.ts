// Token embedding: a table of vectors, read by row. Its gradient adds up, in a fixed order, what every use of a row gets.

import { take, type Value } from '../core/index.ts'

/** The row of each token: `table` is `[vocabulary, hidden]`, `tokens` i32 `[...]`, the result `[..., hidden]`. */
export function embedding(table: Value, tokens: Value): Value {
  if (table.rank !== 2)
    throw new TypeError(
      `embedding: the table is ${table}; it must have a row for each token, [vocabulary, hidden]`,
    )
  return take(table, tokens, { mode: 'clip' })
}
