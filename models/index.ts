// Models, one file per architecture, and what turns text into their inputs and back.

export { type GenerateOptions, generate } from './generate.ts'
export * as llama from './llama.ts'
export { loadTokenizer, type Tokenizer } from './tokenizer.ts'
