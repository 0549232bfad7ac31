//! `/metrics`: of the manager itself, and of the fleet, in Prometheus' text form.
//!
//! The manager's own are counters that others turn ([`Meters`]). Those of the fleet are made from the inventory when they
//! are asked for, one family after the other: all of them at once would need a multiple of the memory of the inventory.

mod families;
mod fleet;
mod meters;

use prometheus::TextEncoder;

pub use meters::{Handler, Meters, Outcome};

use crate::fleet::Fleet;

/// The media type of [`render`]'s text.
pub const CONTENT_TYPE: &str = prometheus::TEXT_FORMAT;

/// The whole text.
pub fn render(meters: &Meters, fleet: &Fleet) -> prometheus::Result<String> {
    let encoder = TextEncoder::new();
    let mut text = String::new();
    meters.set_boards(fleet.count());
    encoder.encode_utf8(&meters.gather(), &mut text)?;
    fleet::render(fleet, &encoder, &mut text)?;
    Ok(text)
}
