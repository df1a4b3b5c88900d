//! Operations that are methods without arguments, by name.

use spiq::Tensor;
use spiq_hlo::Operand;

macro_rules! unary {
    ($($method:ident)*) => {
        pub fn unary(name: &str, x: &Tensor) -> Option<Tensor> {
            match name {
                $(stringify!($method) => Some(x.$method()),)*
                _ => None,
            }
        }
    };
}

unary! {
    abs negate sign exp exp_m1 log log1p logistic tanh sqrt rsqrt cbrt sin cos tan floor ceil round_nearest_even
    round_nearest_afz not popcnt count_leading_zeros is_finite stop_gradient identity optimization_barrier t sum mean
}

macro_rules! binary {
    ($($method:ident)*) => {
        pub fn binary(name: &str, x: &Tensor, y: impl Operand) -> Option<Tensor> {
            match name {
                $(stringify!($method) => Some(x.$method(y)),)*
                _ => None,
            }
        }
    };
}

binary! {
    add sub mul div maximum minimum pow rem atan2 and or xor shift_left shift_right_logical shift_right_arithmetic
    eq ne ge gt le lt
}
