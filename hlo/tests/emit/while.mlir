module @while {
  func.func public @main(%arg0: tensor<3xf32>, %arg1: tensor<f32>) -> (tensor<3xf32>, tensor<i32>) {
    %0 = "stablehlo.constant"() {value = dense<0> : tensor<i32>} : () -> tensor<i32>
    %1 = "stablehlo.broadcast_in_dim"(%arg1) {broadcast_dimensions = array<i64>} : (tensor<f32>) -> tensor<3xf32>
    %2:4 = "stablehlo.while"(%arg0, %0, %arg1, %1) ({
    ^bb0(%arg3_0: tensor<3xf32>, %arg3_1: tensor<i32>, %arg3_2: tensor<f32>, %arg3_3: tensor<3xf32>):
      %4 = "stablehlo.constant"() {value = dense<0.0> : tensor<f32>} : () -> tensor<f32>
      %5 = "stablehlo.reduce"(%arg3_0, %4) ({
      ^bb0(%arg6_0: tensor<f32>, %arg6_1: tensor<f32>):
        %7 = stablehlo.add %arg6_0, %arg6_1 : tensor<f32>
        stablehlo.return %7 : tensor<f32>
      }) {dimensions = array<i64: 0>} : (tensor<3xf32>, tensor<f32>) -> tensor<f32>
      %8 = "stablehlo.compare"(%5, %arg3_2) {compare_type = #stablehlo<comparison_type FLOAT>, comparison_direction = #stablehlo<comparison_direction LT>} : (tensor<f32>, tensor<f32>) -> tensor<i1>
      stablehlo.return %8 : tensor<i1>
    }, {
    ^bb0(%arg9_0: tensor<3xf32>, %arg9_1: tensor<i32>, %arg9_2: tensor<f32>, %arg9_3: tensor<3xf32>):
      %10 = "stablehlo.constant"() {value = dense<2.0> : tensor<3xf32>} : () -> tensor<3xf32>
      %11 = stablehlo.multiply %arg9_0, %10 : tensor<3xf32>
      %12 = stablehlo.add %11, %arg9_3 : tensor<3xf32>
      %13 = "stablehlo.constant"() {value = dense<1> : tensor<i32>} : () -> tensor<i32>
      %14 = stablehlo.add %arg9_1, %13 : tensor<i32>
      stablehlo.return %12, %14, %arg9_2, %arg9_3 : tensor<3xf32>, tensor<i32>, tensor<f32>, tensor<3xf32>
    }) : (tensor<3xf32>, tensor<i32>, tensor<f32>, tensor<3xf32>) -> (tensor<3xf32>, tensor<i32>, tensor<f32>, tensor<3xf32>)
    func.return %2#0, %2#1 : tensor<3xf32>, tensor<i32>
  }
}
