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
    %27 = "stablehlo.constant"() {value = dense<0.0> : tensor<4x6xf32>} : () -> tensor<4x6xf32>
    %28:8 = "stablehlo.while"(%2, %0, %0, %27, %4#2, %arg0, %26, %1) ({
    ^bb0(%arg29_0: tensor<i32>, %arg29_1: tensor<8x6xf32>, %arg29_2: tensor<8x6xf32>, %arg29_3: tensor<4x6xf32>, %arg29_4: tensor<16x8x6xf32>, %arg29_5: tensor<16x8x4xf32>, %arg29_6: tensor<16x8x6xf32>, %arg29_7: tensor<8x6xf32>):
      %30 = "stablehlo.constant"() {value = dense<16> : tensor<i32>} : () -> tensor<i32>
      %31 = "stablehlo.compare"(%arg29_0, %30) {compare_type = #stablehlo<comparison_type SIGNED>, comparison_direction = #stablehlo<comparison_direction LT>} : (tensor<i32>, tensor<i32>) -> tensor<i1>
      stablehlo.return %31 : tensor<i1>
    }, {
    ^bb0(%arg32_0: tensor<i32>, %arg32_1: tensor<8x6xf32>, %arg32_2: tensor<8x6xf32>, %arg32_3: tensor<4x6xf32>, %arg32_4: tensor<16x8x6xf32>, %arg32_5: tensor<16x8x4xf32>, %arg32_6: tensor<16x8x6xf32>, %arg32_7: tensor<8x6xf32>):
      %33 = stablehlo.negate %arg32_0 : tensor<i32>
      %34 = "stablehlo.constant"() {value = dense<15> : tensor<i32>} : () -> tensor<i32>
      %35 = stablehlo.add %33, %34 : tensor<i32>
      %36 = "stablehlo.constant"() {value = dense<0> : tensor<i32>} : () -> tensor<i32>
      %37 = "stablehlo.dynamic_slice"(%arg32_4, %35, %36, %36) {slice_sizes = array<i64: 1, 8, 6>} : (tensor<16x8x6xf32>, tensor<i32>, tensor<i32>, tensor<i32>) -> tensor<1x8x6xf32>
      %38 = "stablehlo.reshape"(%37) : (tensor<1x8x6xf32>) -> tensor<8x6xf32>
      %39 = "stablehlo.dynamic_slice"(%arg32_5, %35, %36, %36) {slice_sizes = array<i64: 1, 8, 4>} : (tensor<16x8x4xf32>, tensor<i32>, tensor<i32>, tensor<i32>) -> tensor<1x8x4xf32>
      %40 = "stablehlo.reshape"(%39) : (tensor<1x8x4xf32>) -> tensor<8x4xf32>
      %41 = "stablehlo.dynamic_slice"(%arg32_6, %35, %36, %36) {slice_sizes = array<i64: 1, 8, 6>} : (tensor<16x8x6xf32>, tensor<i32>, tensor<i32>, tensor<i32>) -> tensor<1x8x6xf32>
      %42 = "stablehlo.reshape"(%41) : (tensor<1x8x6xf32>) -> tensor<8x6xf32>
      %43 = "stablehlo.constant"() {value = dense<1.0> : tensor<8x6xf32>} : () -> tensor<8x6xf32>
      %44 = stablehlo.subtract %38, %43 : tensor<8x6xf32>
      %45 = stablehlo.negate %arg32_1 : tensor<8x6xf32>
      %46 = stablehlo.add %42, %45 : tensor<8x6xf32>
      %47 = "stablehlo.dot_general"(%40, %arg32_1) {dot_dimension_numbers = #stablehlo.dot<lhs_contracting_dimensions = [0], rhs_contracting_dimensions = [0]>, precision_config = [#stablehlo<precision DEFAULT>, #stablehlo<precision DEFAULT>]} : (tensor<8x4xf32>, tensor<8x6xf32>) -> tensor<4x6xf32>
      %48 = stablehlo.multiply %arg32_1, %arg32_7 : tensor<8x6xf32>
      %49 = stablehlo.multiply %arg32_1, %38 : tensor<8x6xf32>
      %50 = stablehlo.abs %44 : tensor<8x6xf32>
      %51 = stablehlo.subtract %43, %50 : tensor<8x6xf32>
      %52 = "stablehlo.constant"() {value = dense<0.0> : tensor<8x6xf32>} : () -> tensor<8x6xf32>
      %53 = stablehlo.maximum %51, %52 : tensor<8x6xf32>
      %54 = stablehlo.multiply %46, %53 : tensor<8x6xf32>
      %55 = stablehlo.add %48, %54 : tensor<8x6xf32>
      %56 = stablehlo.add %arg32_2, %49 : tensor<8x6xf32>
      %57 = stablehlo.add %arg32_3, %47 : tensor<4x6xf32>
      %58 = "stablehlo.constant"() {value = dense<1> : tensor<i32>} : () -> tensor<i32>
      %59 = stablehlo.add %arg32_0, %58 : tensor<i32>
      stablehlo.return %59, %55, %56, %57, %arg32_4, %arg32_5, %arg32_6, %arg32_7 : tensor<i32>, tensor<8x6xf32>, tensor<8x6xf32>, tensor<4x6xf32>, tensor<16x8x6xf32>, tensor<16x8x4xf32>, tensor<16x8x6xf32>, tensor<8x6xf32>
    }) : (tensor<i32>, tensor<8x6xf32>, tensor<8x6xf32>, tensor<4x6xf32>, tensor<16x8x6xf32>, tensor<16x8x4xf32>, tensor<16x8x6xf32>, tensor<8x6xf32>) -> (tensor<i32>, tensor<8x6xf32>, tensor<8x6xf32>, tensor<4x6xf32>, tensor<16x8x6xf32>, tensor<16x8x4xf32>, tensor<16x8x6xf32>, tensor<8x6xf32>)
    %60 = "stablehlo.constant"() {value = dense<0.0> : tensor<f32>} : () -> tensor<f32>
    %61 = "stablehlo.reduce"(%28#2, %60) ({
    ^bb0(%arg62_0: tensor<f32>, %arg62_1: tensor<f32>):
      %63 = stablehlo.add %arg62_0, %arg62_1 : tensor<f32>
      stablehlo.return %63 : tensor<f32>
    }) {dimensions = array<i64: 0>} : (tensor<8x6xf32>, tensor<f32>) -> tensor<6xf32>
    func.return %28#3, %61 : tensor<4x6xf32>, tensor<6xf32>
  }
}
