module @case {
  func.func public @main(%arg0: tensor<i32>, %arg1: tensor<3xf32>, %arg2: tensor<3xf32>) -> (tensor<3xf32>) {
    %0 = stablehlo.exponential %arg1 : tensor<3xf32>
    %1:2 = "stablehlo.case"(%arg0) ({
      %2 = "stablehlo.constant"() {value = dense<1.0> : tensor<f32>} : () -> tensor<f32>
      %3 = "stablehlo.constant"() {value = dense<0.0> : tensor<f32>} : () -> tensor<f32>
      stablehlo.return %2, %3 : tensor<f32>, tensor<f32>
    }, {
      %4 = "stablehlo.constant"() {value = dense<0.0> : tensor<f32>} : () -> tensor<f32>
      %5 = "stablehlo.constant"() {value = dense<1.0> : tensor<f32>} : () -> tensor<f32>
      stablehlo.return %4, %5 : tensor<f32>, tensor<f32>
    }) : (tensor<i32>) -> (tensor<f32>, tensor<f32>)
    %6 = "stablehlo.broadcast_in_dim"(%1#1) {broadcast_dimensions = array<i64>} : (tensor<f32>) -> tensor<3xf32>
    %7 = stablehlo.multiply %6, %0 : tensor<3xf32>
    %8 = "stablehlo.broadcast_in_dim"(%1#0) {broadcast_dimensions = array<i64>} : (tensor<f32>) -> tensor<3xf32>
    %9 = stablehlo.multiply %8, %arg2 : tensor<3xf32>
    %10 = stablehlo.add %7, %9 : tensor<3xf32>
    func.return %10 : tensor<3xf32>
  }
}
