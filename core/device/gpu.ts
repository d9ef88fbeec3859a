// The names of WebGPU that signatures mention. They merge with the real declarations where there are some, and let programs
// be type-checked where there are none.

declare global {
  interface GPUAdapter {}
  interface GPUBindGroupLayout {}
  interface GPUBuffer {}
  interface GPUCommandBuffer {}
  interface GPUCommandEncoder {}
  interface GPUComputePassDescriptor {}
  interface GPUComputePipeline {}
  interface GPUDevice {}
}

export {}
