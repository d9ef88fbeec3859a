// The smallest use of a chosen adapter: one dispatch that writes i², read back. The device is left open on purpose.

import { type AdapterSource, bufferUsage, chooseAdapter, mapMode } from '../../core/device/adapter.ts'

const code = `
  @group(0) @binding(0) var<storage, read_write> squares: array<u32>;
  @compute @workgroup_size(8) fn main(@builtin(local_invocation_index) i: u32) { squares[i] = i * i; }
`

/** The squares of 0 to 7, computed on the chosen adapter, and when they were there. */
export async function squares(): Promise<{ source: AdapterSource; numbers: number[]; at: number }> {
  const { adapter, source } = await chooseAdapter()
  const device = await adapter.requestDevice()
  const pipeline = device.createComputePipeline({
    layout: 'auto',
    compute: { module: device.createShaderModule({ code }) },
  })
  const result = device.createBuffer({ size: 32, usage: bufferUsage.STORAGE | bufferUsage.COPY_SRC })
  const staging = device.createBuffer({ size: 32, usage: bufferUsage.MAP_READ | bufferUsage.COPY_DST })
  const entries = [{ binding: 0, resource: { buffer: result } }]
  const encoder = device.createCommandEncoder()
  const pass = encoder.beginComputePass()
  pass.setPipeline(pipeline)
  pass.setBindGroup(0, device.createBindGroup({ layout: pipeline.getBindGroupLayout(0), entries }))
  pass.dispatchWorkgroups(1)
  pass.end()
  encoder.copyBufferToBuffer(result, 0, staging, 0, 32)
  device.queue.submit([encoder.finish()])
  await staging.mapAsync(mapMode.READ)
  return { source, numbers: [...new Uint32Array(staging.getMappedRange())], at: Date.now() }
}
