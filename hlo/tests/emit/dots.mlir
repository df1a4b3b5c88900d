module @dots {
  func.func public @main(%arg0: tensor<2x3x4xf32>, %arg1: tensor<4x2x5xf32>, %arg2: tensor<8x64xi8>, %arg3: tensor<64x10xi8>) -> (tensor<2x3x5xf32>, tensor<8x10xi32>) {
    %0 = "stablehlo.dot_general"(%arg0, %arg1) {dot_dimension_numbers = #stablehlo.dot<lhs_batching_dimensions = [0], rhs_batching_dimensions = [1], lhs_contracting_dimensions = [2], rhs_contracting_dimensions = [0]>, precision_config = [#stablehlo<precision DEFAULT>, #stablehlo<precision DEFAULT>]} : (tensor<2x3x4xf32>, tensor<4x2x5xf32>) -> tensor<2x3x5xf32>
    %1 = "stablehlo.dot_general"(%arg2, %arg3) {dot_dimension_numbers = #stablehlo.dot<lhs_contracting_dimensions = [1], rhs_contracting_dimensions = [0]>, precision_config = [#stablehlo<precision DEFAULT>, #stablehlo<precision DEFAULT>]} : (tensor<8x64xi8>, tensor<64x10xi8>) -> tensor<8x10xi32>
    func.return %0, %1 : tensor<2x3x5xf32>, tensor<8x10xi32>
  }
}
