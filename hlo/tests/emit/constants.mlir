module @constants {
  func.func public @main() -> (tensor<8xi1>, tensor<8xi2>, tensor<8xi4>, tensor<8xi8>, tensor<8xi16>, tensor<8xi32>, tensor<8xi64>, tensor<8xui2>, tensor<8xui4>, tensor<8xui8>, tensor<8xui16>, tensor<8xui32>, tensor<8xui64>, tensor<8xbf16>, tensor<8xf16>, tensor<8xf32>, tensor<8xf64>, tensor<8xf8E4M3FN>, tensor<8xf8E5M2>, tensor<8xf4E2M1FN>, tensor<8xf8E8M0FNU>, tensor<4x5xf32>, tensor<18xi1>, tensor<2xui64>, tensor<0x2xf32>, tensor<3x3xf32>) {
    %0 = "stablehlo.constant"() {value = dense<[true, true, true, true, false, true, true, true]> : tensor<8xi1>} : () -> tensor<8xi1>
    %1 = "stablehlo.constant"() {value = dense<[-2, -2, -2, -1, 0, 1, 1, 1]> : tensor<8xi2>} : () -> tensor<8xi2>
    %2 = "stablehlo.constant"() {value = dense<[-8, -8, -2, -1, 0, 1, 3, 7]> : tensor<8xi4>} : () -> tensor<8xi4>
    %3 = "stablehlo.constant"() {value = dense<[-128, -8, -2, -1, 0, 1, 3, 127]> : tensor<8xi8>} : () -> tensor<8xi8>
    %4 = "stablehlo.constant"() {value = dense<[-128, -8, -2, -1, 0, 1, 3, 32767]> : tensor<8xi16>} : () -> tensor<8xi16>
    %5 = "stablehlo.constant"() {value = dense<[-128, -8, -2, -1, 0, 1, 3, 2147483647]> : tensor<8xi32>} : () -> tensor<8xi32>
    %6 = "stablehlo.constant"() {value = dense<[-128, -8, -2, -1, 0, 1, 3, 9223372036854775807]> : tensor<8xi64>} : () -> tensor<8xi64>
    %7 = "stablehlo.constant"() {value = dense<[0, 0, 0, 0, 0, 1, 3, 3]> : tensor<8xui2>} : () -> tensor<8xui2>
    %8 = "stablehlo.constant"() {value = dense<[0, 0, 0, 0, 0, 1, 3, 15]> : tensor<8xui4>} : () -> tensor<8xui4>
    %9 = "stablehlo.constant"() {value = dense<[0, 0, 0, 0, 0, 1, 3, 255]> : tensor<8xui8>} : () -> tensor<8xui8>
    %10 = "stablehlo.constant"() {value = dense<[0, 0, 0, 0, 0, 1, 3, 65535]> : tensor<8xui16>} : () -> tensor<8xui16>
    %11 = "stablehlo.constant"() {value = dense<[0, 0, 0, 0, 0, 1, 3, 4294967295]> : tensor<8xui32>} : () -> tensor<8xui32>
    %12 = "stablehlo.constant"() {value = dense<[0, 0, 0, 0, 0, 1, 3, 18446744073709551615]> : tensor<8xui64>} : () -> tensor<8xui64>
    %13 = "stablehlo.constant"() {value = dense<[0x7F80, 0xFF80, 0x7FC0, -0.0, 1.0009765625e-1, -2.5, 4.48e2, 9.9945068359375e-4]> : tensor<8xbf16>} : () -> tensor<8xbf16>
    %14 = "stablehlo.constant"() {value = dense<[0x7C00, 0xFC00, 0x7E00, -0.0, 9.99755859375e-2, -2.5, 4.48e2, 1.0004043579101563e-3]> : tensor<8xf16>} : () -> tensor<8xf16>
    %15 = "stablehlo.constant"() {value = dense<[0x7F800000, 0xFF800000, 0x7FC00000, -0.0, 1.0e-1, -2.5, 4.48e2, 1.0e-3]> : tensor<8xf32>} : () -> tensor<8xf32>
    %16 = "stablehlo.constant"() {value = dense<[0x7FF0000000000000, 0xFFF0000000000000, 0x7FF8000000000000, -0.0, 1.0e-1, -2.5, 4.48e2, 1.0e-3]> : tensor<8xf64>} : () -> tensor<8xf64>
    %17 = "stablehlo.constant"() {value = dense<[0x7F, 0xFF, 0x7F, -0.0, 1.015625e-1, -2.5, 4.48e2, 1.953125e-3]> : tensor<8xf8E4M3FN>} : () -> tensor<8xf8E4M3FN>
    %18 = "stablehlo.constant"() {value = dense<[0x7C, 0xFC, 0x7F, -0.0, 9.375e-2, -2.5, 4.48e2, 9.765625e-4]> : tensor<8xf8E5M2>} : () -> tensor<8xf8E5M2>
    %19 = "stablehlo.constant"() {value = dense<[6.0, -6.0, 0.0, -0.0, 0.0, -2.0, 6.0, 0.0]> : tensor<8xf4E2M1FN>} : () -> tensor<8xf4E2M1FN>
    %20 = "stablehlo.constant"() {value = dense<[0xFF, 0xFF, 0xFF, 5.877471754111438e-39, 1.25e-1, 5.877471754111438e-39, 5.12e2, 9.765625e-4]> : tensor<8xf8E8M0FNU>} : () -> tensor<8xf8E8M0FNU>
    %21 = "stablehlo.constant"() {value = dense<"0x000000000000803E0000003F0000403F0000803F0000A03F0000C03F0000E03F000000400000104000002040000030400000404000005040000060400000704000008040000088400000904000009840"> : tensor<4x5xf32>} : () -> tensor<4x5xf32>
    %22 = "stablehlo.constant"() {value = dense<[true, false, false, true, false, false, true, false, false, true, false, false, true, false, false, true, false, false]> : tensor<18xi1>} : () -> tensor<18xi1>
    %23 = "stablehlo.constant"() {value = dense<[18446744073709551615, 1152921504606846976]> : tensor<2xui64>} : () -> tensor<2xui64>
    %24 = "stablehlo.constant"() {value = dense<[]> : tensor<0x2xf32>} : () -> tensor<0x2xf32>
    %25 = "stablehlo.constant"() {value = dense<0x7FC00000> : tensor<3x3xf32>} : () -> tensor<3x3xf32>
    func.return %0, %1, %2, %3, %4, %5, %6, %7, %8, %9, %10, %11, %12, %13, %14, %15, %16, %17, %18, %19, %20, %21, %22, %23, %24, %25 : tensor<8xi1>, tensor<8xi2>, tensor<8xi4>, tensor<8xi8>, tensor<8xi16>, tensor<8xi32>, tensor<8xi64>, tensor<8xui2>, tensor<8xui4>, tensor<8xui8>, tensor<8xui16>, tensor<8xui32>, tensor<8xui64>, tensor<8xbf16>, tensor<8xf16>, tensor<8xf32>, tensor<8xf64>, tensor<8xf8E4M3FN>, tensor<8xf8E5M2>, tensor<8xf4E2M1FN>, tensor<8xf8E8M0FNU>, tensor<4x5xf32>, tensor<18xi1>, tensor<2xui64>, tensor<0x2xf32>, tensor<3x3xf32>
  }
}
