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
    %15 = "stablehlo.constant"() {value = dense<0.0> : tensor<4x6xf32>} : () -> tensor<4x6xf32>
    %16:3 = "spiq.scan"(%3, %2, %2, %15, %4#1, %arg0, %14) ({
    ^bb0(%arg17_0: tensor<8x6xf32>, %arg17_1: tensor<8x6xf32>, %arg17_2: tensor<8x6xf32>, %arg17_3: tensor<4x6xf32>, %arg17_4: tensor<8x6xf32>, %arg17_5: tensor<8x4xf32>, %arg17_6: tensor<8x6xf32>):
      %18 = "stablehlo.constant"() {value = dense<1.0> : tensor<8x6xf32>} : () -> tensor<8x6xf32>
      %19 = stablehlo.subtract %arg17_4, %18 : tensor<8x6xf32>
      %20 = stablehlo.negate %arg17_1 : tensor<8x6xf32>
      %21 = stablehlo.add %arg17_6, %20 : tensor<8x6xf32>
      %22 = "stablehlo.dot_general"(%arg17_5, %arg17_1) {dot_dimension_numbers = #stablehlo.dot<lhs_contracting_dimensions = [0], rhs_contracting_dimensions = [0]>, precision_config = [#stablehlo<precision DEFAULT>, #stablehlo<precision DEFAULT>]} : (tensor<8x4xf32>, tensor<8x6xf32>) -> tensor<4x6xf32>
      %23 = stablehlo.multiply %arg17_1, %arg17_0 : tensor<8x6xf32>
      %24 = stablehlo.multiply %arg17_1, %arg17_4 : tensor<8x6xf32>
      %25 = stablehlo.abs %19 : tensor<8x6xf32>
      %26 = stablehlo.subtract %18, %25 : tensor<8x6xf32>
      %27 = "stablehlo.constant"() {value = dense<0.0> : tensor<8x6xf32>} : () -> tensor<8x6xf32>
      %28 = stablehlo.maximum %26, %27 : tensor<8x6xf32>
      %29 = stablehlo.multiply %21, %28 : tensor<8x6xf32>
      %30 = stablehlo.add %23, %29 : tensor<8x6xf32>
      %31 = stablehlo.add %arg17_2, %24 : tensor<8x6xf32>
      %32 = stablehlo.add %arg17_3, %22 : tensor<4x6xf32>
      stablehlo.return %30, %31, %32 : tensor<8x6xf32>, tensor<8x6xf32>, tensor<4x6xf32>
    }) {length = 16, reverse = true} : (tensor<8x6xf32>, tensor<8x6xf32>, tensor<8x6xf32>, tensor<4x6xf32>, tensor<16x8x6xf32>, tensor<16x8x4xf32>, tensor<16x8x6xf32>) -> (tensor<8x6xf32>, tensor<8x6xf32>, tensor<4x6xf32>)
    %33 = "stablehlo.constant"() {value = dense<0.0> : tensor<f32>} : () -> tensor<f32>
    %34 = "stablehlo.reduce"(%16#1, %33) ({
    ^bb0(%arg35_0: tensor<f32>, %arg35_1: tensor<f32>):
      %36 = stablehlo.add %arg35_0, %arg35_1 : tensor<f32>
      stablehlo.return %36 : tensor<f32>
    }) {dimensions = array<i64: 0>} : (tensor<8x6xf32>, tensor<f32>) -> tensor<6xf32>
    func.return %16#2, %34 : tensor<4x6xf32>, tensor<6xf32>
  }
}
