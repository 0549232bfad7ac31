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

/// Longest text. Ten thousand ordinary boards, two hundred series each, need 322 MiB.
const LIMIT: usize = 384 << 20;

/// Why there is no text.
#[derive(Debug, thiserror::Error)]
pub enum NoText {
    /// The manager's own series cannot be written.
    #[error(transparent)]
    Own(prometheus::Error),
    /// The fleet has too much to say.
    #[error("the series of the fleet have more than {LIMIT} bytes")]
    TooLong,
}

/// The whole text, in pieces: it is long, and need not be there twice to be put together.
pub fn render(meters: &Meters, fleet: &Fleet) -> Result<Vec<String>, NoText> {
    meters.set_boards(fleet.count());
    let own = TextEncoder::new().encode_to_string(&meters.gather()).map_err(NoText::Own)?;
    let mut pieces = fleet::render(fleet, LIMIT)?;
    pieces.insert(0, own);
    Ok(pieces)
}
