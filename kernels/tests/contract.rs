//! The permanent numbers and names of the contract, and round trips of its encoding and its text form.

use proptest::prelude::*;
use spiq_hlo::DType;
use spiq_kernels::contract::element;
use spiq_kernels::{
    Convolved, FusedProduct, Instruction, KernelCall, LaneOp, LaneProgram, Left, MaskedProduct, Slot, SparseConvolution,
};

/// Compile caches contain programs with these numbers, so rows may be added here but never changed.
#[test]
fn instructions_keep_their_numbers() {
    let names = [
        "add",
        "subtract",
        "multiply",
        "divide",
        "maximum",
        "minimum",
        "multiply_add",
        "multiply_subtract",
        "subtract_multiply",
        "abs",
        "negate",
        "sign",
        "sqrt",
        "exponential",
        "floor",
        "ceil",
        "round_even",
        "round_bf16",
        "truncate_s8",
        "equal",
        "not_equal",
        "greater_equal",
        "greater",
        "less_equal",
        "less",
        "and",
        "or",
        "xor",
        "not",
        "select",
        "copy",
    ];
    let numbered: Vec<(i64, &str)> = LaneOp::ALL.iter().map(|op| (op.number(), op.name())).collect();
    assert_eq!(numbered, (0..).zip(names).collect::<Vec<_>>());
    for op in LaneOp::ALL {
        assert_eq!((LaneOp::from_number(op.number()), LaneOp::from_name(op.name())), (Some(*op), Some(*op)));
    }
    assert_eq!((LaneOp::from_number(-1), LaneOp::from_number(names.len() as i64)), (None, None));
}

/// Like [`instructions_keep_their_numbers`].
#[test]
fn element_types_keep_their_numbers() {
    let names = [
        "pred",
        "s2",
        "s4",
        "s8",
        "s16",
        "s32",
        "s64",
        "u2",
        "u4",
        "u8",
        "u16",
        "u32",
        "u64",
        "bf16",
        "f16",
        "f32",
        "f64",
        "f8E4M3FN",
        "f8E5M2",
        "f4E2M1FN",
        "f8E8M0FNU",
    ];
    for (number, name) in (0..).zip(names) {
        assert_eq!(element::from_number(number).map(DType::name), Some(name));
    }
    assert_eq!(element::from_number(names.len() as i64), None);
    for dtype in DType::ALL {
        assert_eq!(element::from_number(element::number(*dtype)), Some(*dtype));
    }
}

#[test]
fn arities_are_those_of_the_table() {
    let of = |count: usize| LaneOp::ALL.iter().filter(|op| op.operands() == count).count();
    assert_eq!([of(0), of(1), of(2), of(3)], [0, 12, 15, 4]);
}

#[test]
fn what_gives_truth_says_so() {
    let truth: Vec<i64> = LaneOp::ALL.iter().filter(|op| op.is_truth()).map(|op| op.number()).collect();
    assert_eq!(truth, (19..29).collect::<Vec<i64>>());
}

/// The encoded words of a program, as stored in caches.
#[test]
fn the_encoding_stays() {
    let program = LaneProgram {
        steps: 5,
        lanes: 3,
        reverse: true,
        consts: vec![DType::F32],
        carries: vec![Slot::Result(1)],
        slices: vec![DType::S8],
        outputs: vec![(Slot::Result(0), DType::BF16)],
        instructions: vec![
            Instruction::new(LaneOp::Add, &[Slot::Carry(0), Slot::Number(-0.5)]),
            Instruction::new(LaneOp::Select, &[Slot::Const(0), Slot::Result(0), Slot::Slice(0)]),
        ],
    };
    let (slot, half) = (1i64 << 32, i64::from((-0.5f32).to_bits()));
    let words = [
        [1, 5, 3, 1, 1, 1, 1, 1].as_slice(),
        &[15, 3, 4 * slot + 1, 4 * slot, 13],
        &[0, slot, 3 * slot + half],
        &[29, 0, 4 * slot, 2 * slot],
    ];
    assert_eq!(program.encode(), words.concat());
    let text = "loop of 5 steps, 3 lanes, backward\n  const c0: f32\n  slice x0: s8\n  r0 = add(s0, -0.5)\n  \
                r1 = select(c0, r0, x0)\n  carry s0 = r1\n  write y0: bf16 = r0";
    assert_eq!(program.to_string(), text);
    let product = MaskedProduct { rows: 128, columns: 5, width: 6, over_rows: true };
    assert_eq!(product.encode(), [1, 128, 5, 6, 1]);
    assert_eq!(product.to_string(), "masked product of 128 rows, 5 columns, width 6, over rows");
    let sizes = SparseConvolution {
        images: 8,
        input: [34, 33],
        window: [5, 4],
        output: [15, 15],
        features: [2, 12],
        input_dilation: [1, 1],
        strides: [2, 2],
        dilation: [1, 1],
        padding: [0, -1],
        result: Convolved::KernelGradient,
    };
    assert_eq!(sizes.encode(), [1, 1, 8, 34, 33, 5, 4, 15, 15, 2, 12, 1, 1, 2, 2, 1, 1, 0, -1]);
    let text = "sparse convolution of 8 images of 34x33x2, window 5x4, to 15x15x12, strides 2x2, padding 0x-1, \
                gradient of the kernel";
    assert_eq!(sizes.to_string(), text);
    let masked = FusedProduct { slice: 2, columns: 5, width: 6, left: Left::Mask };
    let sampled = FusedProduct { left: Left::Sampled(3), ..masked };
    let recurrent = FusedProduct { left: Left::Spikes(3), ..masked };
    let of_results = FusedProduct { left: Left::Results(3), ..masked };
    let all = [masked, sampled, recurrent, of_results];
    assert_eq!(FusedProduct::encode(&all), [2, 5, 6, 0, -1, 2, 5, 6, 1, 3, 2, 5, 6, 2, 3, 2, 5, 6, 3, 3]);
    assert_eq!(sampled.to_string(), "x2 is a product of 5 columns, width 6, where r3 is not 0");
    assert_eq!(recurrent.to_string(), "x2 is a recurrent product of r3, 5 columns, width 6");
    assert_eq!(of_results.to_string(), "x2 is a product of r3, 5 columns, width 6");
}

fn dtypes() -> impl Strategy<Value = Vec<DType>> {
    prop::collection::vec(prop::sample::select(DType::ALL), 0..4)
}

/// Sizes that fit the encoding's 63 bits.
fn size() -> impl Strategy<Value = usize> {
    prop_oneof![0usize..100, (0..=i64::MAX).prop_map(|size| size as usize)]
}

/// An existing slot, chosen by numbers of any size.
fn slot(kind: u8, index: usize, bits: u32, there: [usize; 4]) -> Slot {
    let kinds: [fn(usize) -> Slot; 4] = [Slot::Const, Slot::Carry, Slot::Slice, Slot::Result];
    match (kinds.get(usize::from(kind)), there.get(usize::from(kind))) {
        (Some(kind), Some(&count)) if count > 0 => kind(index % count),
        _ => Slot::Number(f32::from_bits(bits)),
    }
}

prop_compose! {
    fn programs()(
        sizes in (size(), size()), reverse: bool, consts in dtypes(), slices in dtypes(), written in dtypes(),
        carries in 0..3usize, ops in prop::collection::vec(prop::sample::select(LaneOp::ALL), 0..12),
        drawn in prop::collection::vec((0..5u8, any::<usize>(), any::<u32>()), 64),
    ) -> LaneProgram {
        let mut drawn = drawn.into_iter().cycle();
        let mut next = |results: usize| {
            let (kind, index, bits) = drawn.next().expect("it begins again");
            slot(kind, index, bits, [consts.len(), carries, slices.len(), results])
        };
        let instructions: Vec<Instruction> = ops.iter().enumerate().map(|(at, op)| {
            Instruction::new(*op, &(0..op.operands()).map(|_| next(at)).collect::<Vec<_>>())
        }).collect();
        let carries = (0..carries).map(|_| next(ops.len())).collect();
        let outputs = written.iter().map(|dtype| (next(ops.len()), *dtype)).collect();
        let (steps, lanes) = sizes;
        LaneProgram { steps, lanes, reverse, consts, carries, slices, outputs, instructions }
    }
}

/// Bit-identical: `==` treats NaN as unequal and -0 as equal to 0.
fn same(a: &LaneProgram, b: &LaneProgram) -> bool {
    a.encode() == b.encode() && a.instructions.len() == b.instructions.len()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn programs_are_read_back(program in programs()) {
        let decoded = LaneProgram::decode(&program.encode()).expect("what was encoded");
        prop_assert!(same(&decoded, &program), "{program}");
        let parsed: LaneProgram = program.to_string().parse().map_err(|e| TestCaseError::fail(format!("{e}\n{program}")))?;
        prop_assert!(same(&parsed, &program), "{program}");
    }

    #[test]
    fn products_are_read_back(rows in size(), columns in size(), width in size(), slice in size(), over_rows: bool) {
        let product = MaskedProduct { rows, columns, width, over_rows };
        prop_assert_eq!(MaskedProduct::decode(&product.encode()), Some(product));
        prop_assert_eq!(product.to_string().parse(), Ok(product));
        for left in [Left::Mask, Left::Sampled(rows), Left::Spikes(rows), Left::Results(rows)] {
            let fused = FusedProduct { slice, columns, width, left };
            prop_assert_eq!(FusedProduct::decode(&FusedProduct::encode(&[fused, fused])), Some(vec![fused, fused]));
            prop_assert_eq!(fused.to_string().parse(), Ok(fused));
        }
    }

    #[test]
    fn convolutions_are_read_back(images in size(), pairs in prop::collection::vec([size(), size()], 5), apart in [1usize..9, 1..9],
                                  padding: [i64; 2], gradient: bool) {
        let [input, window, output, features, _] = pairs[..] else { unreachable!("five pairs") };
        let result = if gradient { Convolved::KernelGradient } else { Convolved::Output };
        let [dilation, strides] = [apart, [apart[1], apart[0]]];
        let sizes = SparseConvolution { images, input, window, output, features, input_dilation: dilation, strides, dilation, padding, result };
        prop_assert_eq!(SparseConvolution::decode(&sizes.encode()), Some(sizes));
    }

    /// A changed word or letter yields another program or an error, and no panic.
    #[test]
    fn damage_is_refused_or_another_program(program in programs(), at: prop::sample::Index, by in 1i64..9, letter in "[ -~]") {
        let mut words = program.encode();
        let at_word = at.index(words.len());
        words[at_word] = words[at_word].wrapping_add(by);
        if let Some(other) = LaneProgram::decode(&words) {
            prop_assert_eq!(other.encode(), words);
        }
        let mut text = program.to_string();
        let at_letter = at.index(text.len());
        text.replace_range(at_letter..=at_letter, &letter);
        if let Ok(other) = text.parse::<LaneProgram>() {
            prop_assert!(LaneProgram::decode(&other.encode()).is_some(), "{text}");
        }
    }

    /// Arbitrary words are decoded or rejected, without allocating more than their length.
    #[test]
    fn any_words_are_read_without_a_panic(words in prop::collection::vec(prop_oneof![0i64..40, any::<i64>()], 0..40)) {
        let with_version: Vec<i64> = [&[1], &words[..]].concat();
        for words in [&words, &with_version] {
            let _ = (LaneProgram::decode(words), MaskedProduct::decode(words), FusedProduct::decode(words));
            let _ = SparseConvolution::decode(words);
        }
    }
}

#[test]
fn sizes_that_the_encoding_cannot_hold_are_refused() {
    let of_size = |lanes: &str| format!("loop of 1 steps, {lanes} lanes, forward").parse::<LaneProgram>();
    let largest = of_size("9223372036854775807").expect("2^63 - 1");
    assert_eq!(LaneProgram::decode(&largest.encode()), Some(largest));
    for size in ["9223372036854775808", "18446744073709551615", "-1", "1e3", ""] {
        let told = of_size(size).expect_err(size).to_string();
        assert_eq!(told, format!("expected a whole number below 2^63, found `{size}`"));
    }
}

#[test]
fn slots_that_are_not_there_yet_are_refused() {
    let head = "loop of 1 steps, 1 lanes, forward\n  slice x0: f32\n";
    let reads = |line: &str| format!("{head}  {line}").parse::<LaneProgram>();
    assert!(reads("r0 = abs(x0)").is_ok());
    for (line, message) in [
        ("r0 = abs(r0)", "expected slots that are defined before they are read, found"),
        ("r0 = abs(x1)", "expected slots that are defined before they are read, found"),
        ("r1 = abs(x0)", "expected number 0, found `1`"),
        ("r0 = abs(x0, x0)", "expected 1 operands of abs, found `abs(x0, x0)`"),
        ("r0 = abbs(x0)", "expected an instruction name, found `abbs`"),
        ("r0 = abs(y0)", "expected a slot (c0, s0, x0, r0) or a number, found `y0`"),
        ("write y0: f33 = x0", "expected an element type, found `f33`"),
    ] {
        let told = reads(line).expect_err(line).to_string();
        assert!(told.starts_with(message), "{told}");
    }
}

#[test]
fn what_is_no_call_is_none() {
    let words = MaskedProduct { rows: 1, columns: 1, width: 1, over_rows: false }.encode();
    let config = |key: &str| (key == "program").then_some(words.as_slice());
    assert!(matches!(KernelCall::read("spiq_masked_product", config), Some(KernelCall::Product(_))));
    assert_eq!(KernelCall::read("spiq_sparse_convolution", config), None);
    assert_eq!(KernelCall::read("another", config), None);
    assert_eq!(KernelCall::read("spiq_elementwise_scan", config), None);
    assert_eq!(KernelCall::read("spiq_masked_product", |_| None), None);
}
