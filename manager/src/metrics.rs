//! `/metrics`: of the manager itself, and of the fleet, in Prometheus' text form.
//!
//! The manager's own are counters that others turn ([`Meters`]). Those of the fleet are made from the inventory when they
//! are asked for, board by board, as text at once: as objects of the prometheus crate the series of a large fleet would
//! need a multiple of the memory of the inventory.

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
    meters.set_boards(fleet.count());
    let mut text = TextEncoder::new().encode_to_string(&meters.gather())?;
    fleet::render(fleet, &mut text);
    // It is held for as long as it is not read, and by its length.
    text.shrink_to_fit();
    Ok(text)
}
