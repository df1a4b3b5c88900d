module @lif_scan {
  func.func public @main(%arg0: tensor<16x8x4xf32>, %arg1: tensor<4x6xf32>, %arg2: tensor<6xf32>) -> (tensor<4x6xf32>, tensor<6xf32>) {
    %0 = spiq.identity %arg1 : tensor<4x6xf32>
    %1 = spiq.identity %arg2 : tensor<6xf32>
    %2 = "stablehlo.constant"() {value = dense<0.0> : tensor<8x6xf32>} : () -> tensor<8x6xf32>
    %3 = "stablehlo.broadcast_in_dim"(%1) {broadcast_dimensions = array<i64: 1>} : (tensor<6xf32>) -> tensor<8x6xf32>
    %4:2 = "spiq.scan"(%3, %0, %2, %arg0) ({
    ^bb0(%arg5_0: tensor<8x6xf32>, %arg5_1: tensor<4x6xf32>, %arg5_2: tensor<8x6xf32>, %arg5_3: tensor<8x4xf32>):
      %6 = "stablehlo.constant"() {value = dense<1.0> : tensor<8x6xf32>} : () -> tensor<8x6xf32>
      %7 = stablehlo.subtract %arg5_2, %6 : tensor<8x6xf32>
      %8 = spiq.spike %7 : tensor<8x6xf32>
      %9 = stablehlo.multiply %arg5_2, %arg5_0 : tensor<8x6xf32>
      %10 = "stablehlo.dot_general"(%arg5_3, %arg5_1) {dot_dimension_numbers = #stablehlo.dot<lhs_contracting_dimensions = [1], rhs_contracting_dimensions = [0]>, precision_config = [#stablehlo<precision DEFAULT>, #stablehlo<precision DEFAULT>]} : (tensor<8x4xf32>, tensor<4x6xf32>) -> tensor<8x6xf32>
      %11 = stablehlo.add %9, %10 : tensor<8x6xf32>
      %12 = stablehlo.subtract %11, %8 : tensor<8x6xf32>
      stablehlo.return %12, %arg5_2 : tensor<8x6xf32>, tensor<8x6xf32>
    }) {length = 16, reverse = false} : (tensor<8x6xf32>, tensor<4x6xf32>, tensor<8x6xf32>, tensor<16x8x4xf32>) -> (tensor<8x6xf32>, tensor<16x8x6xf32>)
    %13 = "stablehlo.constant"() {value = dense<1.0> : tensor<f32>} : () -> tensor<f32>
    %14 = "stablehlo.broadcast_in_dim"(%13) {broadcast_dimensions = array<i64>} : (tensor<f32>) -> tensor<16x8x6xf32>
    %15:3 = "spiq.scan"(%3, %2, %2, %4#1, %14) ({
    ^bb0(%arg16_0: tensor<8x6xf32>, %arg16_1: tensor<8x6xf32>, %arg16_2: tensor<8x6xf32>, %arg16_3: tensor<8x6xf32>, %arg16_4: tensor<8x6xf32>):
      %17 = "stablehlo.constant"() {value = dense<1.0> : tensor<8x6xf32>} : () -> tensor<8x6xf32>
      %18 = stablehlo.subtract %arg16_3, %17 : tensor<8x6xf32>
      %19 = stablehlo.negate %arg16_1 : tensor<8x6xf32>
      %20 = stablehlo.add %arg16_4, %19 : tensor<8x6xf32>
      %21 = stablehlo.multiply %arg16_1, %arg16_0 : tensor<8x6xf32>
      %22 = stablehlo.multiply %arg16_1, %arg16_3 : tensor<8x6xf32>
      %23 = stablehlo.abs %18 : tensor<8x6xf32>
      %24 = stablehlo.subtract %17, %23 : tensor<8x6xf32>
      %25 = "stablehlo.constant"() {value = dense<0.0> : tensor<8x6xf32>} : () -> tensor<8x6xf32>
      %26 = stablehlo.maximum %24, %25 : tensor<8x6xf32>
      %27 = stablehlo.multiply %20, %26 : tensor<8x6xf32>
      %28 = stablehlo.add %21, %27 : tensor<8x6xf32>
      %29 = stablehlo.add %arg16_2, %22 : tensor<8x6xf32>
      stablehlo.return %28, %29, %arg16_1 : tensor<8x6xf32>, tensor<8x6xf32>, tensor<8x6xf32>
    }) {length = 16, reverse = true} : (tensor<8x6xf32>, tensor<8x6xf32>, tensor<8x6xf32>, tensor<16x8x6xf32>, tensor<16x8x6xf32>) -> (tensor<8x6xf32>, tensor<8x6xf32>, tensor<16x8x6xf32>)
    %30 = "stablehlo.reshape"(%arg0) : (tensor<16x8x4xf32>) -> tensor<128x4xf32>
    %31 = "stablehlo.reshape"(%15#2) : (tensor<16x8x6xf32>) -> tensor<128x6xf32>
    %32 = "stablehlo.dot_general"(%30, %31) {dot_dimension_numbers = #stablehlo.dot<lhs_contracting_dimensions = [0], rhs_contracting_dimensions = [0]>, precision_config = [#stablehlo<precision DEFAULT>, #stablehlo<precision DEFAULT>]} : (tensor<128x4xf32>, tensor<128x6xf32>) -> tensor<4x6xf32>
    %33 = "stablehlo.constant"() {value = dense<0.0> : tensor<f32>} : () -> tensor<f32>
    %34 = "stablehlo.reduce"(%15#1, %33) ({
    ^bb0(%arg35_0: tensor<f32>, %arg35_1: tensor<f32>):
      %36 = stablehlo.add %arg35_0, %arg35_1 : tensor<f32>
      stablehlo.return %36 : tensor<f32>
    }) {dimensions = array<i64: 0>} : (tensor<8x6xf32>, tensor<f32>) -> tensor<6xf32>
    func.return %32, %34 : tensor<4x6xf32>, tensor<6xf32>
  }
}
