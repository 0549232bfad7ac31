//! From what the kernel counts in to the units of the readings.
//!
//! The kernel writes whole numbers of small units so that it needs no floating point; the readings are in degrees
//! Celsius, volts, amperes, watts, joules, hertz, bytes and percent.

/// Thousandths to ones: millidegrees, millivolts, milliamperes, thousandths of a percent.
///
/// ```
/// assert_eq!(cardcage_sdk::units::milli(45_250), 45.25);
/// ```
pub fn milli(thousandths: i64) -> f64 {
    thousandths as f64 / 1e3
}

/// Millionths to ones: microwatts, microjoules, microvolts.
///
/// ```
/// assert_eq!(cardcage_sdk::units::micro(12_500_000), 12.5);
/// ```
pub fn micro(millionths: i64) -> f64 {
    millionths as f64 / 1e6
}

/// Millions to ones: megahertz to hertz.
///
/// ```
/// assert_eq!(cardcage_sdk::units::mega(1_300), 1.3e9);
/// ```
pub fn mega(millions: i64) -> f64 {
    millions as f64 * 1e6
}

/// A part of a whole, in percent from 0 to 100. `None` where there is no whole, or the part is larger than it: that is
/// not a share, and two counters read at different times can say so.
///
/// ```
/// # use cardcage_sdk::units;
/// assert_eq!(units::percent(1.0, 4.0), Some(25.0));
/// assert_eq!(units::percent(0.0, 0.0), None);
/// ```
pub fn percent(part: f64, whole: f64) -> Option<f64> {
    (whole > 0.0 && whole.is_finite() && (0.0..=whole).contains(&part)).then(|| part / whole * 100.0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_share_of_nothing_or_more_than_all_is_unknown() {
        assert_eq!(percent(1.0, 0.0), None);
        assert_eq!(percent(2.0, 1.0), None);
        assert_eq!(percent(-1.0, 1.0), None);
        assert_eq!(percent(f64::NAN, 1.0), None);
        assert_eq!(percent(1.0, f64::INFINITY), None);
    }

    proptest! {
        #[test]
        fn a_share_is_between_0_and_100(part in any::<f64>(), whole in any::<f64>()) {
            if let Some(share) = percent(part, whole) {
                prop_assert!((0.0..=100.0).contains(&share), "{share}");
            }
        }
    }
}
