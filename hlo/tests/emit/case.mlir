module @case {
  func.func public @main(%arg0: tensor<i32>, %arg1: tensor<3xf32>, %arg2: tensor<3xf32>) -> (tensor<3xf32>) {
    %0 = "stablehlo.constant"() {value = dense<0> : tensor<i32>} : () -> tensor<i32>
    %1 = stablehlo.maximum %arg0, %0 : tensor<i32>
    %2:2 = "stablehlo.case"(%1) ({
      %3 = "stablehlo.constant"() {value = dense<1.0> : tensor<f32>} : () -> tensor<f32>
      %4 = "stablehlo.broadcast_in_dim"(%3) {broadcast_dimensions = array<i64>} : (tensor<f32>) -> tensor<3xf32>
      %5 = stablehlo.multiply %4, %arg2 : tensor<3xf32>
      %6 = "stablehlo.constant"() {value = dense<0.0> : tensor<3xf32>} : () -> tensor<3xf32>
      stablehlo.return %5, %6 : tensor<3xf32>, tensor<3xf32>
    }, {
      %7 = stablehlo.exponential %arg1 : tensor<3xf32>
      %8 = "stablehlo.constant"() {value = dense<1.0> : tensor<f32>} : () -> tensor<f32>
      %9 = "stablehlo.broadcast_in_dim"(%8) {broadcast_dimensions = array<i64>} : (tensor<f32>) -> tensor<3xf32>
      %10 = stablehlo.multiply %9, %7 : tensor<3xf32>
      %11 = "stablehlo.constant"() {value = dense<0.0> : tensor<3xf32>} : () -> tensor<3xf32>
      stablehlo.return %11, %10 : tensor<3xf32>, tensor<3xf32>
    }) : (tensor<i32>) -> (tensor<3xf32>, tensor<3xf32>)
    %12 = stablehlo.add %2#0, %2#1 : tensor<3xf32>
    func.return %12 : tensor<3xf32>
  }
}
