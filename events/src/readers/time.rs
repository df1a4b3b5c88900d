//! Seconds of a file as microseconds.

/// Stands for a time that is none. Events are left out and counted whose time is below 0.
pub const NO_TIME: i64 = -1;

/// Rounded to whole microseconds; [`NO_TIME`] for NaN, infinity and what is before 0.
///
/// tonic rounds towards 0, so that times of f32 may come out a microsecond lower there: 0.7 s as 699,999.
pub fn to_microseconds(seconds: f64) -> i64 {
    match seconds * 1e6 {
        time if time.is_finite() && time > -0.5 => time.round() as i64,
        _ => NO_TIME,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seconds_are_rounded_and_what_is_no_time_is_marked() {
        assert_eq!([0.0, 0.7f32.into(), 1.5e-6, -1e-9].map(to_microseconds), [0, 700_000, 2, 0]);
        assert_eq!([f64::NAN, f64::INFINITY, f64::NEG_INFINITY, -1e-6].map(to_microseconds), [NO_TIME; 4]);
    }
}
