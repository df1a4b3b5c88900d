module @mapped_scan {
  func.func public @main(%arg0: tensor<3x5x2xf32>, %arg1: tensor<f32>) -> (tensor<3x5x2xf32>) {
    %0 = "stablehlo.broadcast_in_dim"(%arg1) {broadcast_dimensions = array<i64>} : (tensor<f32>) -> tensor<2xf32>
    %1 = "stablehlo.slice"(%arg0) {limit_indices = array<i64: 3, 1, 2>, start_indices = array<i64: 0, 0, 0>, strides = array<i64: 1, 1, 1>} : (tensor<3x5x2xf32>) -> tensor<3x1x2xf32>
    %2 = "stablehlo.reshape"(%1) : (tensor<3x1x2xf32>) -> tensor<3x2xf32>
    %3 = "stablehlo.transpose"(%arg0) {permutation = array<i64: 1, 0, 2>} : (tensor<3x5x2xf32>) -> tensor<5x3x2xf32>
    %4 = "stablehlo.broadcast_in_dim"(%0) {broadcast_dimensions = array<i64: 1>} : (tensor<2xf32>) -> tensor<3x2xf32>
    %5 = "stablehlo.constant"() {value = dense<0> : tensor<i32>} : () -> tensor<i32>
    %6 = "stablehlo.constant"() {value = dense<0.0> : tensor<5x3x2xf32>} : () -> tensor<5x3x2xf32>
    %7:5 = "stablehlo.while"(%5, %2, %6, %3, %4) ({
    ^bb0(%arg8_0: tensor<i32>, %arg8_1: tensor<3x2xf32>, %arg8_2: tensor<5x3x2xf32>, %arg8_3: tensor<5x3x2xf32>, %arg8_4: tensor<3x2xf32>):
      %9 = "stablehlo.constant"() {value = dense<5> : tensor<i32>} : () -> tensor<i32>
      %10 = "stablehlo.compare"(%arg8_0, %9) {compare_type = #stablehlo<comparison_type SIGNED>, comparison_direction = #stablehlo<comparison_direction LT>} : (tensor<i32>, tensor<i32>) -> tensor<i1>
      stablehlo.return %10 : tensor<i1>
    }, {
    ^bb0(%arg11_0: tensor<i32>, %arg11_1: tensor<3x2xf32>, %arg11_2: tensor<5x3x2xf32>, %arg11_3: tensor<5x3x2xf32>, %arg11_4: tensor<3x2xf32>):
      %12 = "stablehlo.constant"() {value = dense<0> : tensor<i32>} : () -> tensor<i32>
      %13 = "stablehlo.dynamic_slice"(%arg11_3, %arg11_0, %12, %12) {slice_sizes = array<i64: 1, 3, 2>} : (tensor<5x3x2xf32>, tensor<i32>, tensor<i32>, tensor<i32>) -> tensor<1x3x2xf32>
      %14 = "stablehlo.reshape"(%13) : (tensor<1x3x2xf32>) -> tensor<3x2xf32>
      %15 = stablehlo.multiply %arg11_1, %arg11_4 : tensor<3x2xf32>
      %16 = stablehlo.add %15, %14 : tensor<3x2xf32>
      %17 = "stablehlo.constant"() {value = dense<1> : tensor<i32>} : () -> tensor<i32>
      %18 = stablehlo.add %arg11_0, %17 : tensor<i32>
      %19 = "stablehlo.reshape"(%arg11_1) : (tensor<3x2xf32>) -> tensor<1x3x2xf32>
      %20 = "stablehlo.dynamic_update_slice"(%arg11_2, %19, %arg11_0, %12, %12) : (tensor<5x3x2xf32>, tensor<1x3x2xf32>, tensor<i32>, tensor<i32>, tensor<i32>) -> tensor<5x3x2xf32>
      stablehlo.return %18, %16, %20, %arg11_3, %arg11_4 : tensor<i32>, tensor<3x2xf32>, tensor<5x3x2xf32>, tensor<5x3x2xf32>, tensor<3x2xf32>
    }) : (tensor<i32>, tensor<3x2xf32>, tensor<5x3x2xf32>, tensor<5x3x2xf32>, tensor<3x2xf32>) -> (tensor<i32>, tensor<3x2xf32>, tensor<5x3x2xf32>, tensor<5x3x2xf32>, tensor<3x2xf32>)
    %21 = "stablehlo.transpose"(%7#2) {permutation = array<i64: 1, 0, 2>} : (tensor<5x3x2xf32>) -> tensor<3x5x2xf32>
    func.return %21 : tensor<3x5x2xf32>
  }
}
