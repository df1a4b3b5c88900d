module @kernels {
  func.func public @main(%arg0: tensor<8x6xf32>, %arg1: tensor<16x8x6xf32>, %arg2: tensor<16x8x6xf32>) -> (tensor<128x6xi8>, tensor<8x6xf32>, tensor<16x8x6xf32>) {
    %0 = "stablehlo.constant"() {value = dense<0.0> : tensor<8x6xf32>} : () -> tensor<8x6xf32>
    %1:3 = "stablehlo.custom_call"(%arg0, %0, %arg1) {call_target_name = "spiq_elementwise_scan", api_version = 4 : i32, operand_layouts = [dense<[1, 0]> : tensor<2xindex>, dense<[1, 0]> : tensor<2xindex>, dense<[2, 1, 0]> : tensor<3xindex>], result_layouts = [dense<[1, 0]> : tensor<2xindex>, dense<[2, 1, 0]> : tensor<3xindex>, dense<[2, 1, 0]> : tensor<3xindex>]} : (tensor<8x6xf32>, tensor<8x6xf32>, tensor<16x8x6xf32>) -> (tensor<8x6xf32>, tensor<16x8x6xf32>, tensor<16x8x6xi8>)
      // loop of 16 steps, 48 lanes, forward
      //   const c0: f32
      //   slice x0: f32
      //   r0 = subtract(s0, 1.0)
      //   r1 = greater(r0, 0.0)
      //   r2 = multiply_add(s0, c0, x0)
      //   r3 = subtract(r2, r1)
      //   r4 = truncate_s8(r1)
      //   carry s0 = r3
      //   write y0: f32 = s0
      //   write y1: s8 = r4
    %2:3 = "stablehlo.custom_call"(%arg0, %0, %0, %1#1, %arg2) {call_target_name = "spiq_elementwise_scan", api_version = 4 : i32, operand_layouts = [dense<[1, 0]> : tensor<2xindex>, dense<[1, 0]> : tensor<2xindex>, dense<[1, 0]> : tensor<2xindex>, dense<[2, 1, 0]> : tensor<3xindex>, dense<[2, 1, 0]> : tensor<3xindex>], result_layouts = [dense<[1, 0]> : tensor<2xindex>, dense<[1, 0]> : tensor<2xindex>, dense<[2, 1, 0]> : tensor<3xindex>]} : (tensor<8x6xf32>, tensor<8x6xf32>, tensor<8x6xf32>, tensor<16x8x6xf32>, tensor<16x8x6xf32>) -> (tensor<8x6xf32>, tensor<8x6xf32>, tensor<16x8x6xf32>)
      // loop of 16 steps, 48 lanes, backward
      //   const c0: f32
      //   slice x0: f32
      //   slice x1: f32
      //   r0 = subtract(x0, 1.0)
      //   r1 = negate(s0)
      //   r2 = add(x1, r1)
      //   r3 = abs(r0)
      //   r4 = subtract(1.0, r3)
      //   r5 = maximum(r4, 0.0)
      //   r6 = multiply(r2, r5)
      //   r7 = multiply_add(s0, c0, r6)
      //   r8 = multiply_add(s0, x0, s1)
      //   carry s0 = r7
      //   carry s1 = r8
      //   write y0: f32 = s0
    %3 = "stablehlo.reshape"(%1#2) : (tensor<16x8x6xi8>) -> tensor<128x6xi8>
    func.return %3, %2#1, %2#2 : tensor<128x6xi8>, tensor<8x6xf32>, tensor<16x8x6xf32>
  }
}

encoded:
  program [1, 16, 48, 0, 1, 1, 1, 2, 15, 15, 17179869187, 4294967296, 15, 17179869188, 3, 1, 4294967296, 13950255104, 22, 17179869184, 12884901888, 6, 4294967296, 0, 8589934592, 1, 17179869186, 17179869185, 18, 17179869185]
  program [1, 16, 48, 1, 1, 2, 2, 1, 15, 15, 15, 17179869191, 17179869192, 4294967296, 15, 1, 8589934592, 13950255104, 10, 4294967296, 0, 8589934593, 17179869185, 9, 17179869184, 1, 13950255104, 17179869187, 4, 17179869188, 12884901888, 2, 17179869186, 17179869189, 6, 4294967296, 0, 17179869190, 6, 4294967296, 8589934592, 4294967297]
