module @perceptron {
  func.func public @main(%arg0: tensor<8x4xf32>, %arg1: tensor<4x16xf32>, %arg2: tensor<16x3xf32>, %arg3: tensor<8x3xf32>) -> (tensor<f32>, tensor<4x16xf32>, tensor<16x3xf32>) {
    %0 = "stablehlo.dot_general"(%arg0, %arg1) {dot_dimension_numbers = #stablehlo.dot<lhs_contracting_dimensions = [1], rhs_contracting_dimensions = [0]>, precision_config = [#stablehlo<precision DEFAULT>, #stablehlo<precision DEFAULT>]} : (tensor<8x4xf32>, tensor<4x16xf32>) -> tensor<8x16xf32>
    %1 = "stablehlo.constant"() {value = dense<0.0> : tensor<8x16xf32>} : () -> tensor<8x16xf32>
    %2 = stablehlo.maximum %0, %1 : tensor<8x16xf32>
    %3 = "stablehlo.dot_general"(%2, %arg2) {dot_dimension_numbers = #stablehlo.dot<lhs_contracting_dimensions = [1], rhs_contracting_dimensions = [0]>, precision_config = [#stablehlo<precision DEFAULT>, #stablehlo<precision DEFAULT>]} : (tensor<8x16xf32>, tensor<16x3xf32>) -> tensor<8x3xf32>
    %4 = "stablehlo.constant"() {value = dense<0xFF800000> : tensor<f32>} : () -> tensor<f32>
    %5 = "stablehlo.reduce"(%3, %4) ({
    ^bb0(%arg6_0: tensor<f32>, %arg6_1: tensor<f32>):
      %7 = stablehlo.maximum %arg6_0, %arg6_1 : tensor<f32>
      stablehlo.return %7 : tensor<f32>
    }) {dimensions = array<i64: 1>} : (tensor<8x3xf32>, tensor<f32>) -> tensor<8xf32>
    %8 = "stablehlo.reshape"(%5) : (tensor<8xf32>) -> tensor<8x1xf32>
    %9 = "stablehlo.broadcast_in_dim"(%8) {broadcast_dimensions = array<i64: 0, 1>} : (tensor<8x1xf32>) -> tensor<8x3xf32>
    %10 = stablehlo.subtract %3, %9 : tensor<8x3xf32>
    %11 = stablehlo.exponential %10 : tensor<8x3xf32>
    %12 = "stablehlo.constant"() {value = dense<0.0> : tensor<f32>} : () -> tensor<f32>
    %13 = "stablehlo.reduce"(%11, %12) ({
    ^bb0(%arg14_0: tensor<f32>, %arg14_1: tensor<f32>):
      %15 = stablehlo.add %arg14_0, %arg14_1 : tensor<f32>
      stablehlo.return %15 : tensor<f32>
    }) {dimensions = array<i64: 1>} : (tensor<8x3xf32>, tensor<f32>) -> tensor<8xf32>
    %16 = stablehlo.log %13 : tensor<8xf32>
    %17 = "stablehlo.reshape"(%16) : (tensor<8xf32>) -> tensor<8x1xf32>
    %18 = "stablehlo.broadcast_in_dim"(%17) {broadcast_dimensions = array<i64: 0, 1>} : (tensor<8x1xf32>) -> tensor<8x3xf32>
    %19 = stablehlo.subtract %10, %18 : tensor<8x3xf32>
    %20 = stablehlo.multiply %19, %arg3 : tensor<8x3xf32>
    %21 = "stablehlo.reduce"(%20, %12) ({
    ^bb0(%arg22_0: tensor<f32>, %arg22_1: tensor<f32>):
      %23 = stablehlo.add %arg22_0, %arg22_1 : tensor<f32>
      stablehlo.return %23 : tensor<f32>
    }) {dimensions = array<i64: 0, 1>} : (tensor<8x3xf32>, tensor<f32>) -> tensor<f32>
    %24 = stablehlo.negate %21 : tensor<f32>
    %25 = "stablehlo.constant"() {value = dense<8.0> : tensor<f32>} : () -> tensor<f32>
    %26 = stablehlo.divide %24, %25 : tensor<f32>
    %27 = "stablehlo.constant"() {value = dense<1.0> : tensor<f32>} : () -> tensor<f32>
    %28 = stablehlo.divide %27, %25 : tensor<f32>
    %29 = stablehlo.negate %28 : tensor<f32>
    %30 = "stablehlo.broadcast_in_dim"(%29) {broadcast_dimensions = array<i64>} : (tensor<f32>) -> tensor<8x3xf32>
    %31 = stablehlo.multiply %30, %arg3 : tensor<8x3xf32>
    %32 = stablehlo.negate %31 : tensor<8x3xf32>
    %33 = "stablehlo.reduce"(%32, %12) ({
    ^bb0(%arg34_0: tensor<f32>, %arg34_1: tensor<f32>):
      %35 = stablehlo.add %arg34_0, %arg34_1 : tensor<f32>
      stablehlo.return %35 : tensor<f32>
    }) {dimensions = array<i64: 1>} : (tensor<8x3xf32>, tensor<f32>) -> tensor<8xf32>
    %36 = "stablehlo.reshape"(%33) : (tensor<8xf32>) -> tensor<8x1xf32>
    %37 = "stablehlo.reshape"(%36) : (tensor<8x1xf32>) -> tensor<8xf32>
    %38 = stablehlo.divide %37, %13 : tensor<8xf32>
    %39 = "stablehlo.broadcast_in_dim"(%38) {broadcast_dimensions = array<i64: 0>} : (tensor<8xf32>) -> tensor<8x3xf32>
    %40 = stablehlo.multiply %39, %11 : tensor<8x3xf32>
    %41 = stablehlo.add %31, %40 : tensor<8x3xf32>
    %42 = "stablehlo.dot_general"(%41, %arg2) {dot_dimension_numbers = #stablehlo.dot<lhs_contracting_dimensions = [1], rhs_contracting_dimensions = [1]>, precision_config = [#stablehlo<precision DEFAULT>, #stablehlo<precision DEFAULT>]} : (tensor<8x3xf32>, tensor<16x3xf32>) -> tensor<8x16xf32>
    %43 = "stablehlo.dot_general"(%2, %41) {dot_dimension_numbers = #stablehlo.dot<lhs_contracting_dimensions = [0], rhs_contracting_dimensions = [0]>, precision_config = [#stablehlo<precision DEFAULT>, #stablehlo<precision DEFAULT>]} : (tensor<8x16xf32>, tensor<8x3xf32>) -> tensor<16x3xf32>
    %44 = "stablehlo.compare"(%0, %1) {compare_type = #stablehlo<comparison_type FLOAT>, comparison_direction = #stablehlo<comparison_direction GT>} : (tensor<8x16xf32>, tensor<8x16xf32>) -> tensor<8x16xi1>
    %45 = "stablehlo.compare"(%0, %1) {compare_type = #stablehlo<comparison_type FLOAT>, comparison_direction = #stablehlo<comparison_direction EQ>} : (tensor<8x16xf32>, tensor<8x16xf32>) -> tensor<8x16xi1>
    %46 = "stablehlo.constant"() {value = dense<5.0e-1> : tensor<8x16xf32>} : () -> tensor<8x16xf32>
    %47 = stablehlo.multiply %42, %46 : tensor<8x16xf32>
    %48 = stablehlo.multiply %42, %1 : tensor<8x16xf32>
    %49 = "stablehlo.select"(%45, %47, %48) : (tensor<8x16xi1>, tensor<8x16xf32>, tensor<8x16xf32>) -> tensor<8x16xf32>
    %50 = "stablehlo.select"(%44, %42, %49) : (tensor<8x16xi1>, tensor<8x16xf32>, tensor<8x16xf32>) -> tensor<8x16xf32>
    %51 = "stablehlo.dot_general"(%arg0, %50) {dot_dimension_numbers = #stablehlo.dot<lhs_contracting_dimensions = [0], rhs_contracting_dimensions = [0]>, precision_config = [#stablehlo<precision DEFAULT>, #stablehlo<precision DEFAULT>]} : (tensor<8x4xf32>, tensor<8x16xf32>) -> tensor<4x16xf32>
    func.return %26, %51, %43 : tensor<f32>, tensor<4x16xf32>, tensor<16x3xf32>
  }
}
