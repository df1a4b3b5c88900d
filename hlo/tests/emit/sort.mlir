module @sort {
  func.func public @main(%arg0: tensor<4x5xf32>, %arg1: tensor<2xi32>) -> (tensor<4x5xf32>, tensor<4x5xf32>) {
    %0 = stablehlo.exponential %arg0 : tensor<4x5xf32>
    %1:2 = "stablehlo.sort"(%arg0, %0) ({
    ^bb0(%arg2_0: tensor<f32>, %arg2_1: tensor<f32>, %arg2_2: tensor<f32>, %arg2_3: tensor<f32>):
      %3 = "stablehlo.compare"(%arg2_0, %arg2_1) {compare_type = #stablehlo<comparison_type FLOAT>, comparison_direction = #stablehlo<comparison_direction LT>} : (tensor<f32>, tensor<f32>) -> tensor<i1>
      %4 = "stablehlo.compare"(%arg2_0, %arg2_1) {compare_type = #stablehlo<comparison_type FLOAT>, comparison_direction = #stablehlo<comparison_direction EQ>} : (tensor<f32>, tensor<f32>) -> tensor<i1>
      %5 = "stablehlo.compare"(%arg2_0, %arg2_0) {compare_type = #stablehlo<comparison_type FLOAT>, comparison_direction = #stablehlo<comparison_direction NE>} : (tensor<f32>, tensor<f32>) -> tensor<i1>
      %6 = "stablehlo.compare"(%arg2_1, %arg2_1) {compare_type = #stablehlo<comparison_type FLOAT>, comparison_direction = #stablehlo<comparison_direction NE>} : (tensor<f32>, tensor<f32>) -> tensor<i1>
      %7 = stablehlo.not %5 : tensor<i1>
      %8 = stablehlo.and %6, %7 : tensor<i1>
      %9 = stablehlo.or %3, %8 : tensor<i1>
      %10 = stablehlo.and %5, %6 : tensor<i1>
      %11 = stablehlo.or %4, %10 : tensor<i1>
      %12 = "stablehlo.compare"(%arg2_2, %arg2_3) {compare_type = #stablehlo<comparison_type FLOAT>, comparison_direction = #stablehlo<comparison_direction LT>} : (tensor<f32>, tensor<f32>) -> tensor<i1>
      %13 = "stablehlo.compare"(%arg2_2, %arg2_2) {compare_type = #stablehlo<comparison_type FLOAT>, comparison_direction = #stablehlo<comparison_direction NE>} : (tensor<f32>, tensor<f32>) -> tensor<i1>
      %14 = "stablehlo.compare"(%arg2_3, %arg2_3) {compare_type = #stablehlo<comparison_type FLOAT>, comparison_direction = #stablehlo<comparison_direction NE>} : (tensor<f32>, tensor<f32>) -> tensor<i1>
      %15 = stablehlo.not %13 : tensor<i1>
      %16 = stablehlo.and %14, %15 : tensor<i1>
      %17 = stablehlo.or %12, %16 : tensor<i1>
      %18 = stablehlo.and %11, %17 : tensor<i1>
      %19 = stablehlo.or %9, %18 : tensor<i1>
      stablehlo.return %19 : tensor<i1>
    }) {dimension = 1 : i64, is_stable = true} : (tensor<4x5xf32>, tensor<4x5xf32>) -> (tensor<4x5xf32>, tensor<4x5xf32>)
    %20 = "stablehlo.constant"() {value = dense<1.0> : tensor<f32>} : () -> tensor<f32>
    %21 = "stablehlo.broadcast_in_dim"(%20) {broadcast_dimensions = array<i64>} : (tensor<f32>) -> tensor<2x5xf32>
    %22 = "stablehlo.constant"() {value = dense<0> : tensor<2xi32>} : () -> tensor<2xi32>
    %23 = "stablehlo.constant"() {value = dense<3> : tensor<i32>} : () -> tensor<i32>
    %24 = "stablehlo.broadcast_in_dim"(%23) {broadcast_dimensions = array<i64>} : (tensor<i32>) -> tensor<2xi32>
    %25 = stablehlo.clamp %22, %arg1, %24 : tensor<2xi32>
    %26 = "stablehlo.constant"() {value = dense<0.0> : tensor<4x5xf32>} : () -> tensor<4x5xf32>
    %27 = "stablehlo.scatter"(%26, %25, %21) ({
    ^bb0(%arg28_0: tensor<f32>, %arg28_1: tensor<f32>):
      %29 = stablehlo.add %arg28_0, %arg28_1 : tensor<f32>
      stablehlo.return %29 : tensor<f32>
    }) {scatter_dimension_numbers = #stablehlo.scatter<update_window_dims = [1], inserted_window_dims = [0], scatter_dims_to_operand_dims = [0], index_vector_dim = 1>} : (tensor<4x5xf32>, tensor<2xi32>, tensor<2x5xf32>) -> tensor<4x5xf32>
    func.return %1#1, %27 : tensor<4x5xf32>, tensor<4x5xf32>
  }
}
