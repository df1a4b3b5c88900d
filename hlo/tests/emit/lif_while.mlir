module @lif_while {
  func.func public @main(%arg0: tensor<16x8x4xf32>, %arg1: tensor<4x6xf32>, %arg2: tensor<6xf32>) -> (tensor<4x6xf32>, tensor<6xf32>) {
    %0 = "stablehlo.constant"() {value = dense<0.0> : tensor<8x6xf32>} : () -> tensor<8x6xf32>
    %1 = "stablehlo.broadcast_in_dim"(%arg2) {broadcast_dimensions = array<i64: 1>} : (tensor<6xf32>) -> tensor<8x6xf32>
    %2 = "stablehlo.constant"() {value = dense<0> : tensor<i32>} : () -> tensor<i32>
    %3 = "stablehlo.constant"() {value = dense<0.0> : tensor<16x8x6xf32>} : () -> tensor<16x8x6xf32>
    %4:6 = "stablehlo.while"(%2, %0, %3, %arg0, %1, %arg1) ({
    ^bb0(%arg5_0: tensor<i32>, %arg5_1: tensor<8x6xf32>, %arg5_2: tensor<16x8x6xf32>, %arg5_3: tensor<16x8x4xf32>, %arg5_4: tensor<8x6xf32>, %arg5_5: tensor<4x6xf32>):
      %6 = "stablehlo.constant"() {value = dense<16> : tensor<i32>} : () -> tensor<i32>
      %7 = "stablehlo.compare"(%arg5_0, %6) {compare_type = #stablehlo<comparison_type SIGNED>, comparison_direction = #stablehlo<comparison_direction LT>} : (tensor<i32>, tensor<i32>) -> tensor<i1>
      stablehlo.return %7 : tensor<i1>
    }, {
    ^bb0(%arg8_0: tensor<i32>, %arg8_1: tensor<8x6xf32>, %arg8_2: tensor<16x8x6xf32>, %arg8_3: tensor<16x8x4xf32>, %arg8_4: tensor<8x6xf32>, %arg8_5: tensor<4x6xf32>):
      %9 = "stablehlo.constant"() {value = dense<0> : tensor<i32>} : () -> tensor<i32>
      %10 = "stablehlo.dynamic_slice"(%arg8_3, %arg8_0, %9, %9) {slice_sizes = array<i64: 1, 8, 4>} : (tensor<16x8x4xf32>, tensor<i32>, tensor<i32>, tensor<i32>) -> tensor<1x8x4xf32>
      %11 = "stablehlo.reshape"(%10) : (tensor<1x8x4xf32>) -> tensor<8x4xf32>
      %12 = "stablehlo.constant"() {value = dense<1.0> : tensor<8x6xf32>} : () -> tensor<8x6xf32>
      %13 = stablehlo.subtract %arg8_1, %12 : tensor<8x6xf32>
      %14 = "stablehlo.constant"() {value = dense<0.0> : tensor<8x6xf32>} : () -> tensor<8x6xf32>
      %15 = "stablehlo.compare"(%13, %14) {compare_type = #stablehlo<comparison_type FLOAT>, comparison_direction = #stablehlo<comparison_direction GT>} : (tensor<8x6xf32>, tensor<8x6xf32>) -> tensor<8x6xi1>
      %16 = "stablehlo.convert"(%15) : (tensor<8x6xi1>) -> tensor<8x6xf32>
      %17 = stablehlo.multiply %arg8_1, %arg8_4 : tensor<8x6xf32>
      %18 = "stablehlo.dot_general"(%11, %arg8_5) {dot_dimension_numbers = #stablehlo.dot<lhs_contracting_dimensions = [1], rhs_contracting_dimensions = [0]>, precision_config = [#stablehlo<precision DEFAULT>, #stablehlo<precision DEFAULT>]} : (tensor<8x4xf32>, tensor<4x6xf32>) -> tensor<8x6xf32>
      %19 = stablehlo.add %17, %18 : tensor<8x6xf32>
      %20 = stablehlo.subtract %19, %16 : tensor<8x6xf32>
      %21 = "stablehlo.constant"() {value = dense<1> : tensor<i32>} : () -> tensor<i32>
      %22 = stablehlo.add %arg8_0, %21 : tensor<i32>
      %23 = "stablehlo.reshape"(%arg8_1) : (tensor<8x6xf32>) -> tensor<1x8x6xf32>
      %24 = "stablehlo.dynamic_update_slice"(%arg8_2, %23, %arg8_0, %9, %9) : (tensor<16x8x6xf32>, tensor<1x8x6xf32>, tensor<i32>, tensor<i32>, tensor<i32>) -> tensor<16x8x6xf32>
      stablehlo.return %22, %20, %24, %arg8_3, %arg8_4, %arg8_5 : tensor<i32>, tensor<8x6xf32>, tensor<16x8x6xf32>, tensor<16x8x4xf32>, tensor<8x6xf32>, tensor<4x6xf32>
    }) : (tensor<i32>, tensor<8x6xf32>, tensor<16x8x6xf32>, tensor<16x8x4xf32>, tensor<8x6xf32>, tensor<4x6xf32>) -> (tensor<i32>, tensor<8x6xf32>, tensor<16x8x6xf32>, tensor<16x8x4xf32>, tensor<8x6xf32>, tensor<4x6xf32>)
    %25 = "stablehlo.constant"() {value = dense<1.0> : tensor<f32>} : () -> tensor<f32>
    %26 = "stablehlo.broadcast_in_dim"(%25) {broadcast_dimensions = array<i64>} : (tensor<f32>) -> tensor<16x8x6xf32>
    %27:7 = "stablehlo.while"(%2, %0, %0, %3, %4#2, %26, %1) ({
    ^bb0(%arg28_0: tensor<i32>, %arg28_1: tensor<8x6xf32>, %arg28_2: tensor<8x6xf32>, %arg28_3: tensor<16x8x6xf32>, %arg28_4: tensor<16x8x6xf32>, %arg28_5: tensor<16x8x6xf32>, %arg28_6: tensor<8x6xf32>):
      %29 = "stablehlo.constant"() {value = dense<16> : tensor<i32>} : () -> tensor<i32>
      %30 = "stablehlo.compare"(%arg28_0, %29) {compare_type = #stablehlo<comparison_type SIGNED>, comparison_direction = #stablehlo<comparison_direction LT>} : (tensor<i32>, tensor<i32>) -> tensor<i1>
      stablehlo.return %30 : tensor<i1>
    }, {
    ^bb0(%arg31_0: tensor<i32>, %arg31_1: tensor<8x6xf32>, %arg31_2: tensor<8x6xf32>, %arg31_3: tensor<16x8x6xf32>, %arg31_4: tensor<16x8x6xf32>, %arg31_5: tensor<16x8x6xf32>, %arg31_6: tensor<8x6xf32>):
      %32 = stablehlo.negate %arg31_0 : tensor<i32>
      %33 = "stablehlo.constant"() {value = dense<15> : tensor<i32>} : () -> tensor<i32>
      %34 = stablehlo.add %32, %33 : tensor<i32>
      %35 = "stablehlo.constant"() {value = dense<0> : tensor<i32>} : () -> tensor<i32>
      %36 = "stablehlo.dynamic_slice"(%arg31_4, %34, %35, %35) {slice_sizes = array<i64: 1, 8, 6>} : (tensor<16x8x6xf32>, tensor<i32>, tensor<i32>, tensor<i32>) -> tensor<1x8x6xf32>
      %37 = "stablehlo.reshape"(%36) : (tensor<1x8x6xf32>) -> tensor<8x6xf32>
      %38 = "stablehlo.dynamic_slice"(%arg31_5, %34, %35, %35) {slice_sizes = array<i64: 1, 8, 6>} : (tensor<16x8x6xf32>, tensor<i32>, tensor<i32>, tensor<i32>) -> tensor<1x8x6xf32>
      %39 = "stablehlo.reshape"(%38) : (tensor<1x8x6xf32>) -> tensor<8x6xf32>
      %40 = "stablehlo.constant"() {value = dense<1.0> : tensor<8x6xf32>} : () -> tensor<8x6xf32>
      %41 = stablehlo.subtract %37, %40 : tensor<8x6xf32>
      %42 = stablehlo.negate %arg31_1 : tensor<8x6xf32>
      %43 = stablehlo.add %39, %42 : tensor<8x6xf32>
      %44 = stablehlo.multiply %arg31_1, %arg31_6 : tensor<8x6xf32>
      %45 = stablehlo.multiply %arg31_1, %37 : tensor<8x6xf32>
      %46 = stablehlo.abs %41 : tensor<8x6xf32>
      %47 = stablehlo.subtract %40, %46 : tensor<8x6xf32>
      %48 = "stablehlo.constant"() {value = dense<0.0> : tensor<8x6xf32>} : () -> tensor<8x6xf32>
      %49 = stablehlo.maximum %47, %48 : tensor<8x6xf32>
      %50 = stablehlo.multiply %43, %49 : tensor<8x6xf32>
      %51 = stablehlo.add %44, %50 : tensor<8x6xf32>
      %52 = stablehlo.add %arg31_2, %45 : tensor<8x6xf32>
      %53 = "stablehlo.constant"() {value = dense<1> : tensor<i32>} : () -> tensor<i32>
      %54 = stablehlo.add %arg31_0, %53 : tensor<i32>
      %55 = "stablehlo.reshape"(%arg31_1) : (tensor<8x6xf32>) -> tensor<1x8x6xf32>
      %56 = "stablehlo.dynamic_update_slice"(%arg31_3, %55, %34, %35, %35) : (tensor<16x8x6xf32>, tensor<1x8x6xf32>, tensor<i32>, tensor<i32>, tensor<i32>) -> tensor<16x8x6xf32>
      stablehlo.return %54, %51, %52, %56, %arg31_4, %arg31_5, %arg31_6 : tensor<i32>, tensor<8x6xf32>, tensor<8x6xf32>, tensor<16x8x6xf32>, tensor<16x8x6xf32>, tensor<16x8x6xf32>, tensor<8x6xf32>
    }) : (tensor<i32>, tensor<8x6xf32>, tensor<8x6xf32>, tensor<16x8x6xf32>, tensor<16x8x6xf32>, tensor<16x8x6xf32>, tensor<8x6xf32>) -> (tensor<i32>, tensor<8x6xf32>, tensor<8x6xf32>, tensor<16x8x6xf32>, tensor<16x8x6xf32>, tensor<16x8x6xf32>, tensor<8x6xf32>)
    %57 = "stablehlo.reshape"(%arg0) : (tensor<16x8x4xf32>) -> tensor<128x4xf32>
    %58 = "stablehlo.reshape"(%27#3) : (tensor<16x8x6xf32>) -> tensor<128x6xf32>
    %59 = "stablehlo.dot_general"(%57, %58) {dot_dimension_numbers = #stablehlo.dot<lhs_contracting_dimensions = [0], rhs_contracting_dimensions = [0]>, precision_config = [#stablehlo<precision DEFAULT>, #stablehlo<precision DEFAULT>]} : (tensor<128x4xf32>, tensor<128x6xf32>) -> tensor<4x6xf32>
    %60 = "stablehlo.constant"() {value = dense<0.0> : tensor<f32>} : () -> tensor<f32>
    %61 = "stablehlo.reduce"(%27#2, %60) ({
    ^bb0(%arg62_0: tensor<f32>, %arg62_1: tensor<f32>):
      %63 = stablehlo.add %arg62_0, %arg62_1 : tensor<f32>
      stablehlo.return %63 : tensor<f32>
    }) {dimensions = array<i64: 0>} : (tensor<8x6xf32>, tensor<f32>) -> tensor<6xf32>
    func.return %59, %61 : tensor<4x6xf32>, tensor<6xf32>
  }
}
