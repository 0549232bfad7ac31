//! Which sensor of a chip speaks for its place as a whole.

use cardcage_sdk::Quantity;

/// Labels that stand for a whole processor or accelerator, the best first. A label ends in `*` where a number follows.
///
/// `Tctl` comes after `Tdie`, since some processors add an offset to it to speed up their fans; `edge` is what AMD's
/// tools call the temperature of a card, and accelerators without it have `junction`; `PPT` is the power of the whole
/// package, and `card` that of a card with its memory.
const WHOLE: [(Quantity, &[&str]); 4] = [
    (Quantity::Temperature, &["package id *", "physical id *", "tdie", "tctl", "edge", "junction", "pkg"]),
    (Quantity::Voltage, &["vddgfx", "svi2_core", "vcore", "pkg"]),
    (Quantity::Current, &["svi2_c_core", "icore", "pkg"]),
    (Quantity::Power, &["card", "ppt", "slowppt", "fastppt", "pkg"]),
];

/// The primary one among the channels of one quantity, by their labels. A channel without any company needs no label.
pub(crate) fn primary(quantity: Quantity, labels: &[Option<&str>]) -> Option<usize> {
    let (_, whole) = WHOLE.iter().find(|(of, _)| *of == quantity)?;
    let labelled =
        || whole.iter().find_map(|known| labels.iter().position(|label| label.is_some_and(|l| is(known, l))));
    match labels {
        [_] => Some(0),
        _ => labelled(),
    }
}

fn is(known: &str, label: &str) -> bool {
    match known.strip_suffix('*') {
        Some(start) => label.get(..start.len()).is_some_and(|head| head.eq_ignore_ascii_case(start)),
        None => label.eq_ignore_ascii_case(known),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_label_of_the_whole_is_primary() {
        let cores = [Some("Package id 1"), Some("Core 0"), Some("Core 1")];
        assert_eq!(primary(Quantity::Temperature, &cores), Some(0));
        assert_eq!(primary(Quantity::Temperature, &[Some("Tctl"), Some("Tdie"), Some("Tccd1")]), Some(1));
        assert_eq!(primary(Quantity::Temperature, &[Some("mem"), Some("junction")]), Some(1));
        assert_eq!(primary(Quantity::Voltage, &[Some("vddnb"), Some("vddgfx")]), Some(1));
    }

    #[test]
    fn one_sensor_alone_speaks_for_the_whole() {
        assert_eq!(primary(Quantity::Temperature, &[None]), Some(0));
    }

    #[test]
    fn nothing_is_primary_where_nothing_clearly_is() {
        assert_eq!(primary(Quantity::Temperature, &[Some("Core 0"), Some("Core 1")]), None);
        assert_eq!(primary(Quantity::Temperature, &[]), None);
        assert_eq!(primary(Quantity::Fan, &[None]), None);
    }
}
