// The compiler: graph → written out and simplified → groups → loop nests → WGSL and a plan. Pure text and numbers, no device.

export { plan as compile } from './plan.ts'
