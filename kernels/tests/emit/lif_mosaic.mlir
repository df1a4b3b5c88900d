"builtin.module"() ({
  "stable_mosaic.func.func"() ({
  ^main(%row: i32, %column: i32, %time: i32, %const0: memref<8x10xf32, #tpu.memory_space<vmem>>, %carry0: memref<8x10xf32, #tpu.memory_space<vmem>>, %slice0: memref<16x8x10xi32, #tpu.memory_space<vmem>>, %last0: memref<8x10xf32, #tpu.memory_space<vmem>>, %out0: memref<16x8x10xi8, #tpu.memory_space<vmem>>):
    %0 = "stable_mosaic.arith.constant"() {value = 0 : index} : () -> index
    %1 = "stable_mosaic.vector.load"(%const0, %0, %0) : (memref<8x10xf32, #tpu.memory_space<vmem>>, index, index) -> vector<8x10xf32>
    %2 = "stable_mosaic.vector.load"(%carry0, %0, %0) : (memref<8x10xf32, #tpu.memory_space<vmem>>, index, index) -> vector<8x10xf32>
    %3 = "stable_mosaic.arith.constant"() {value = 0 : i32} : () -> i32
    %4 = "stable_mosaic.arith.constant"() {value = 1 : i32} : () -> i32
    %5 = "stable_mosaic.arith.constant"() {value = 16 : i32} : () -> i32
    %end:1 = "stable_mosaic.scf.for"(%3, %5, %4, %2) ({
    ^turn(%turn: i32, %kept0: vector<8x10xf32>):
      %6 = "stable_mosaic.arith.constant"() {value = 1 : i32} : () -> i32
      %7 = "stable_mosaic.arith.subi"(%5, %6) : (i32, i32) -> i32
      %8 = "stable_mosaic.arith.subi"(%7, %turn) : (i32, i32) -> i32
      %9 = "stable_mosaic.arith.index_cast"(%8) : (i32) -> index
      %10 = "stable_mosaic.vector.load"(%slice0, %9, %0, %0) : (memref<16x8x10xi32, #tpu.memory_space<vmem>>, index, index, index) -> vector<1x8x10xi32>
      %11 = "stable_mosaic.vector.shape_cast"(%10) : (vector<1x8x10xi32>) -> vector<8x10xi32>
      %12 = "stable_mosaic.arith.sitofp"(%11) : (vector<8x10xi32>) -> vector<8x10xf32>
      %13 = "stable_mosaic.arith.constant"() {value = dense<0x3F800000> : vector<8x10xf32>} : () -> vector<8x10xf32>
      %14 = "stable_mosaic.arith.cmpf"(%kept0, %13) {predicate = 2 : i64} : (vector<8x10xf32>, vector<8x10xf32>) -> vector<8x10xi1>
      %15 = "stable_mosaic.arith.mulf"(%1, %kept0) : (vector<8x10xf32>, vector<8x10xf32>) -> vector<8x10xf32>
      %16 = "stable_mosaic.arith.addf"(%15, %12) : (vector<8x10xf32>, vector<8x10xf32>) -> vector<8x10xf32>
      %17 = "stable_mosaic.arith.constant"() {value = dense<0x3F800000> : vector<8x10xf32>} : () -> vector<8x10xf32>
      %18 = "stable_mosaic.arith.constant"() {value = dense<0x00000000> : vector<8x10xf32>} : () -> vector<8x10xf32>
      %19 = "stable_mosaic.arith.select"(%14, %17, %18) : (vector<8x10xi1>, vector<8x10xf32>, vector<8x10xf32>) -> vector<8x10xf32>
      %20 = "stable_mosaic.arith.subf"(%16, %19) : (vector<8x10xf32>, vector<8x10xf32>) -> vector<8x10xf32>
      %21 = "stable_mosaic.arith.extui"(%14) : (vector<8x10xi1>) -> vector<8x10xi32>
      %22 = "stable_mosaic.arith.trunci"(%21) : (vector<8x10xi32>) -> vector<8x10xi8>
      %23 = "stable_mosaic.vector.shape_cast"(%22) : (vector<8x10xi8>) -> vector<1x8x10xi8>
      "stable_mosaic.tpu.vector_store"(%23, %out0, %9, %0, %0) {add = false, operandSegmentSizes = array<i32: 1, 1, 3, 0>, strides = array<i32>} : (vector<1x8x10xi8>, memref<16x8x10xi8, #tpu.memory_space<vmem>>, index, index, index) -> ()
      "stable_mosaic.scf.yield"(%20) : (vector<8x10xf32>) -> ()
    }) : (i32, i32, i32, vector<8x10xf32>) -> (vector<8x10xf32>)
    "stable_mosaic.tpu.vector_store"(%end#0, %last0, %0, %0) {add = false, operandSegmentSizes = array<i32: 1, 1, 2, 0>, strides = array<i32>} : (vector<8x10xf32>, memref<8x10xf32, #tpu.memory_space<vmem>>, index, index) -> ()
    "stable_mosaic.func.return"() : () -> ()
  }) {dimension_semantics = [#tpu.dimension_semantics<parallel>, #tpu.dimension_semantics<parallel>, #tpu.dimension_semantics<arbitrary>], function_type = (i32, i32, i32, memref<8x10xf32, #tpu.memory_space<vmem>>, memref<8x10xf32, #tpu.memory_space<vmem>>, memref<16x8x10xi32, #tpu.memory_space<vmem>>, memref<8x10xf32, #tpu.memory_space<vmem>>, memref<16x8x10xi8, #tpu.memory_space<vmem>>) -> (), iteration_bounds = array<i64: 1, 1, 1>, scalar_prefetch = 0 : i64, scratch_operands = 0 : i64, sym_name = "spiq_elementwise_scan", tpu.core_type = #tpu.core_type<tc>, window_params = [{transform_indices = @block_of_lanes, window_bounds = array<i64: 8, 10>}, {transform_indices = @block_of_lanes, window_bounds = array<i64: 8, 10>}, {transform_indices = @block_of_sequence, window_bounds = array<i64: 16, 8, 10>}, {transform_indices = @block_of_lanes, window_bounds = array<i64: 8, 10>}, {transform_indices = @block_of_sequence, window_bounds = array<i64: 16, 8, 10>}]} : () -> ()
  "stable_mosaic.func.func"() ({
  ^place(%row: i32, %column: i32, %time: i32):
    "stable_mosaic.func.return"(%row, %column) : (i32, i32) -> ()
  }) {function_type = (i32, i32, i32) -> (i32, i32), sym_name = "block_of_lanes"} : () -> ()
  "stable_mosaic.func.func"() ({
  ^place(%row: i32, %column: i32, %time: i32):
    %0 = "stable_mosaic.arith.constant"() {value = 0 : i32} : () -> i32
    %1 = "stable_mosaic.arith.subi"(%0, %time) : (i32, i32) -> i32
    "stable_mosaic.func.return"(%1, %row, %column) : (i32, i32, i32) -> ()
  }) {function_type = (i32, i32, i32) -> (i32, i32, i32), sym_name = "block_of_sequence"} : () -> ()
}) {stable_mosaic.version = 11 : i64} : () -> ()
