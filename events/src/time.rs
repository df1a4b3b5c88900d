//! Converts seconds to microseconds.

/// Marks an invalid time. Events with times below 0 are dropped and counted.
pub const NO_TIME: i64 = -1;
/// The latest time: 4e9 s, 126 years, so that microseconds since 1970 are valid times. f64 represents all times up to twice it exactly.
pub const LATEST: i64 = 4_000_000_000_000_000;

/// Whether the time is between 0 and [`LATEST`].
pub fn is_time(microseconds: i64) -> bool {
    (0..=LATEST).contains(&microseconds)
}

/// Rounds to whole microseconds; [`NO_TIME`] for NaN, infinity, and times before 0 or after [`LATEST`].
///
/// tonic rounds towards 0, so f32 times may be a microsecond lower there: 0.7 s becomes 699,999.
pub fn to_microseconds(seconds: f64) -> i64 {
    match seconds * 1e6 {
        time if time > -0.5 && time <= LATEST as f64 => time.round() as i64,
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
        assert_eq!([1e30, 1e12, 4.1e9].map(to_microseconds), [NO_TIME; 3]);
        assert_eq!(to_microseconds(4e9), LATEST);
    }
}
