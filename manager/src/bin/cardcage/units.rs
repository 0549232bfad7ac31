//! Quantities as people read them.

/// Bytes in the largest binary unit of which there is one.
pub(crate) fn bytes(bytes: u64) -> String {
    const UNITS: [&str; 6] = ["KiB", "MiB", "GiB", "TiB", "PiB", "EiB"];
    if bytes < 1024 {
        return format!("{bytes} B");
    }
    #[expect(clippy::cast_precision_loss, reason = "two digits are shown")]
    let mut value = bytes as f64;
    let mut unit = "B";
    for larger in UNITS {
        // What would be rounded to 1024 is one of the next.
        if value < 1023.95 {
            break;
        }
        value /= 1024.0;
        unit = larger;
    }
    format!("{value:.1} {unit}")
}

/// An amount of memory as people write it. Binary units alone: with the others nobody knows which are meant.
pub(crate) fn parse_bytes(text: &str) -> Result<u64, String> {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (number, unit) = text.split_at(digits);
    let shift = match unit.trim_start() {
        "" | "B" => 0,
        "KiB" => 10,
        "MiB" => 20,
        "GiB" => 30,
        "TiB" => 40,
        _ => return Err("write it in bytes, or with KiB, MiB, GiB or TiB, such as 512MiB".to_owned()),
    };
    let number: u64 =
        number.parse().map_err(|_| "it begins with no number; write it such as 512MiB".to_owned())?;
    number.checked_mul(1 << shift).ok_or_else(|| "that is more than there can be".to_owned())
}

/// How much of how much.
pub(crate) fn share(used: Option<u64>, total: Option<u64>) -> Option<String> {
    match (used, total) {
        (Some(used), Some(total)) => Some(format!("{} / {}", bytes(used), bytes(total))),
        (Some(used), None) => Some(bytes(used)),
        (None, Some(total)) => Some(format!("- / {}", bytes(total))),
        (None, None) => None,
    }
}

/// A time span in its largest unit.
pub(crate) fn age(millis: u64) -> String {
    match millis / 1000 {
        seconds @ 0..60 => format!("{seconds}s"),
        seconds @ 60..3600 => format!("{}m", seconds / 60),
        seconds @ 3600..86_400 => format!("{}h", seconds / 3600),
        seconds => format!("{}d", seconds / 86_400),
    }
}

/// A percentage.
pub(crate) fn percent(value: f64) -> String {
    format!("{value:.1} %")
}

/// A value with its unit, as the sensors name it. Three digits after the point are enough for a rail.
pub(crate) fn value(value: f64, unit: &str) -> String {
    let unit = if unit == "Cel" { "°C" } else { unit };
    let number = format!("{value:.3}");
    let number = number.trim_end_matches('0').trim_end_matches('.');
    format!("{number} {unit}").trim_end().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_have_the_largest_unit_that_fits() {
        let text = [0, 1023, 1024, 1_048_575, 16_000_000_000, u64::MAX].map(bytes);
        assert_eq!(text, ["0 B", "1023 B", "1.0 KiB", "1.0 MiB", "14.9 GiB", "16.0 EiB"]);
    }

    #[test]
    fn memory_is_read_in_binary_units() {
        let read = ["0", "1024", "4KiB", "512MiB", "2 GiB"].map(|text| parse_bytes(text).unwrap());
        assert_eq!(read, [0, 1024, 4096, 512 << 20, 2 << 30]);
        for wrong in ["", "MiB", "512MB", "-1", "1.5GiB", "99999999TiB"] {
            assert!(parse_bytes(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn ages_have_one_unit() {
        assert_eq!([999, 59_999, 60_000, 3_600_000, 90_000_000].map(age), ["0s", "59s", "1m", "1h", "1d"]);
    }

    #[test]
    fn values_have_no_more_digits_than_they_need() {
        let text =
            [value(61.5, "Cel"), value(12.0, "V"), value(0.8754, "V"), value(100.0, "RPM"), value(3.0, "")];
        assert_eq!(text, ["61.5 °C", "12 V", "0.875 V", "100 RPM", "3"]);
    }
}
