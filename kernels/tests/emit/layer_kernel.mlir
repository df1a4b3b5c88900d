module @kernels {
  func.func public @main(%arg0: tensor<16x8x5xi1>, %arg1: tensor<5x6xf32>, %arg2: tensor<16x8x6xf32>) -> (tensor<16x8x6xf32>, tensor<5x6xf32>) {
    %0 = "stablehlo.reshape"(%arg0) : (tensor<16x8x5xi1>) -> tensor<128x5xi1>
    %1 = "stablehlo.constant"() {value = dense<0.0> : tensor<8x6xf32>} : () -> tensor<8x6xf32>
    %2:3 = "stablehlo.custom_call"(%1, %0, %arg1) {call_target_name = "spiq_elementwise_scan", api_version = 4 : i32, operand_layouts = [dense<[1, 0]> : tensor<2xindex>, dense<[1, 0]> : tensor<2xindex>, dense<[1, 0]> : tensor<2xindex>], result_layouts = [dense<[1, 0]> : tensor<2xindex>, dense<[2, 1, 0]> : tensor<3xindex>, dense<[2, 1, 0]> : tensor<3xindex>]} : (tensor<8x6xf32>, tensor<128x5xi1>, tensor<5x6xf32>) -> (tensor<8x6xf32>, tensor<16x8x6xf32>, tensor<16x8x6xf32>)
      // loop of 16 steps, 48 lanes, forward
      //   slice x0: f32
      //   r0 = subtract(s0, 1.0)
      //   r1 = greater(r0, 0.0)
      //   r2 = multiply_add(s0, 0.9, x0)
      //   r3 = subtract(r2, r1)
      //   carry s0 = r3
      //   write y0: f32 = r1
      //   write y1: f32 = s0
      //   x0 is a masked product of 5 columns, width 6
    %3:2 = "stablehlo.custom_call"(%1, %2#2, %arg2) {call_target_name = "spiq_elementwise_scan", api_version = 4 : i32, operand_layouts = [dense<[1, 0]> : tensor<2xindex>, dense<[2, 1, 0]> : tensor<3xindex>, dense<[2, 1, 0]> : tensor<3xindex>], result_layouts = [dense<[1, 0]> : tensor<2xindex>, dense<[2, 1, 0]> : tensor<3xindex>]} : (tensor<8x6xf32>, tensor<16x8x6xf32>, tensor<16x8x6xf32>) -> (tensor<8x6xf32>, tensor<16x8x6xf32>)
      // loop of 16 steps, 48 lanes, backward
      //   slice x0: f32
      //   slice x1: f32
      //   r0 = subtract(x0, 1.0)
      //   r1 = negate(s0)
      //   r2 = add(x1, r1)
      //   r3 = abs(r0)
      //   r4 = subtract(1.0, r3)
      //   r5 = maximum(r4, 0.0)
      //   r6 = multiply(r2, r5)
      //   r7 = multiply_add(s0, 0.9, r6)
      //   carry s0 = r7
      //   write y0: f32 = s0
    %4 = "stablehlo.reshape"(%3#1) : (tensor<16x8x6xf32>) -> tensor<128x6xf32>
    %5 = "stablehlo.custom_call"(%0, %4) {call_target_name = "spiq_masked_product", api_version = 4 : i32, operand_layouts = [dense<[1, 0]> : tensor<2xindex>, dense<[1, 0]> : tensor<2xindex>], result_layouts = [dense<[1, 0]> : tensor<2xindex>]} : (tensor<128x5xi1>, tensor<128x6xf32>) -> tensor<5x6xf32>
      // masked product of 128 rows, 5 columns, width 6, over rows
    func.return %2#1, %5 : tensor<16x8x6xf32>, tensor<5x6xf32>
  }
}

encoded:
  program [1, 16, 48, 0, 0, 1, 1, 2, 15, 17179869187, 17179869185, 15, 4294967296, 15, 1, 4294967296, 13950255104, 22, 17179869184, 12884901888, 6, 4294967296, 13948577382, 8589934592, 1, 17179869186, 17179869185]
  products [0, 5, 6, 0, -1]
  program [1, 16, 48, 1, 0, 1, 2, 1, 15, 15, 17179869191, 4294967296, 15, 1, 8589934592, 13950255104, 10, 4294967296, 0, 8589934593, 17179869185, 9, 17179869184, 1, 13950255104, 17179869187, 4, 17179869188, 12884901888, 2, 17179869186, 17179869189, 6, 4294967296, 13948577382, 17179869190]
  program [1, 128, 5, 6, 1]
