module @layer_kernel {
  func.func public @main(%arg0: tensor<16x8x5xi1>, %arg1: tensor<5x6xf32>, %arg2: tensor<16x8x6xf32>) -> (tensor<16x8x6xf32>, tensor<5x6xf32>) {
    %0 = "stablehlo.reshape"(%arg0) : (tensor<16x8x5xi1>) -> tensor<128x5xi1>
    %1 = "stablehlo.constant"() {value = dense<0.0> : tensor<8x6xf32>} : () -> tensor<8x6xf32>
    %2:3 = "stablehlo.custom_call"(%1, %0, %arg1) {call_target_name = "spiq_elementwise_scan", api_version = 4 : i32, backend_config = {program = array<i64: 1, 16, 48, 0, 0, 1, 1, 2, 15, 17179869187, 17179869185, 15, 4294967296, 15, 1, 4294967296, 13950255104, 22, 17179869184, 12884901888, 6, 4294967296, 13948577382, 8589934592, 1, 17179869186, 17179869185>, products = array<i64: 0, 5, 6>}} : (tensor<8x6xf32>, tensor<128x5xi1>, tensor<5x6xf32>) -> (tensor<8x6xf32>, tensor<16x8x6xf32>, tensor<16x8x6xf32>)
    %3:2 = "stablehlo.custom_call"(%1, %2#2, %arg2) {call_target_name = "spiq_elementwise_scan", api_version = 4 : i32, backend_config = {program = array<i64: 1, 16, 48, 1, 0, 1, 2, 1, 15, 15, 17179869191, 4294967296, 15, 1, 8589934592, 13950255104, 10, 4294967296, 0, 8589934593, 17179869185, 9, 17179869184, 1, 13950255104, 17179869187, 4, 17179869188, 12884901888, 2, 17179869186, 17179869189, 6, 4294967296, 13948577382, 17179869190>}} : (tensor<8x6xf32>, tensor<16x8x6xf32>, tensor<16x8x6xf32>) -> (tensor<8x6xf32>, tensor<16x8x6xf32>)
    %4 = "stablehlo.reshape"(%3#1) : (tensor<16x8x6xf32>) -> tensor<128x6xf32>
    %5 = "stablehlo.custom_call"(%0, %4) {call_target_name = "spiq_spike_product", api_version = 4 : i32, backend_config = {program = array<i64: 1, 128, 5, 6, 1>}} : (tensor<128x5xi1>, tensor<128x6xf32>) -> tensor<5x6xf32>
    func.return %2#1, %5 : tensor<16x8x6xf32>, tensor<5x6xf32>
  }
}
