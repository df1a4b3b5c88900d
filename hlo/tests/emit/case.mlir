module @case {
  func.func public @main(%arg0: tensor<i32>, %arg1: tensor<3xf32>, %arg2: tensor<3xf32>) -> (tensor<3xf32>) {
    %0 = stablehlo.exponential %arg1 : tensor<3xf32>
    %1 = "stablehlo.constant"() {value = dense<0> : tensor<i32>} : () -> tensor<i32>
    %2 = stablehlo.maximum %arg0, %1 : tensor<i32>
    %3:2 = "stablehlo.case"(%2) ({
      %4 = "stablehlo.constant"() {value = dense<1.0> : tensor<f32>} : () -> tensor<f32>
      %5 = "stablehlo.constant"() {value = dense<0.0> : tensor<f32>} : () -> tensor<f32>
      stablehlo.return %4, %5 : tensor<f32>, tensor<f32>
    }, {
      %6 = "stablehlo.constant"() {value = dense<0.0> : tensor<f32>} : () -> tensor<f32>
      %7 = "stablehlo.constant"() {value = dense<1.0> : tensor<f32>} : () -> tensor<f32>
      stablehlo.return %6, %7 : tensor<f32>, tensor<f32>
    }) : (tensor<i32>) -> (tensor<f32>, tensor<f32>)
    %8 = "stablehlo.broadcast_in_dim"(%3#1) {broadcast_dimensions = array<i64>} : (tensor<f32>) -> tensor<3xf32>
    %9 = stablehlo.multiply %8, %0 : tensor<3xf32>
    %10 = "stablehlo.broadcast_in_dim"(%3#0) {broadcast_dimensions = array<i64>} : (tensor<f32>) -> tensor<3xf32>
    %11 = stablehlo.multiply %10, %arg2 : tensor<3xf32>
    %12 = stablehlo.add %9, %11 : tensor<3xf32>
    func.return %12 : tensor<3xf32>
  }
}
