// Adapters as pure functions over parameter trees.

export { type AdapterFileOptions, loadAdapter, saveAdapter } from './checkpoint.ts'
export { type LoraAdapter, type LoraFactors, type LoraOptions, lora } from './lora.ts'
export {
  countElements,
  countTrainable,
  type Layout,
  linears,
  type Match,
  merge,
  type PeftMethod,
  replaceWeights,
  roleOf,
  type Target,
  targetsOf,
} from './method.ts'
export { type RasaAdapter, type RasaFactors, type RasaOptions, rasa, rasaToLora } from './rasa.ts'
