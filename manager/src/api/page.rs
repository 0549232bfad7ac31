//! A page of a list as JSON, written item by item: it ends before it has more bytes than it may, and `next` goes on from
//! there. There is always one item, so that a client comes to the end.

use serde::Serialize;

/// Items on a page, unless it is told otherwise, and at most.
pub(super) const ITEMS: usize = 500;
pub(super) const ITEMS_LIMIT: usize = 5000;
/// Where a page ends though it has fewer: ordinary items need a fifth of it.
pub(super) const BYTES: usize = 32 << 20;

/// Writes items, each with where the next page begins after it. `frame` makes the object around them, with an empty list at
/// its beginning, and `next`, which is absent on the last page.
pub(super) fn write<T: Serialize, F: Serialize>(
    items: impl Iterator<Item = (T, String)>,
    mut more: bool,
    limit: usize,
    frame: impl Fn(Option<String>) -> F,
) -> serde_json::Result<Vec<u8>> {
    let mut text = head(&frame(None))?;
    let begins = text.len();
    let mut last = None;
    for (item, after) in items {
        let before = text.len();
        if last.is_some() {
            text.push(b',');
        }
        serde_json::to_writer(&mut text, &item)?;
        if last.is_some() && text.len() > limit {
            text.truncate(before);
            more = true;
            break;
        }
        last = Some(after);
    }
    let rest = serde_json::to_vec(&frame(last.filter(|_| more)))?;
    text.extend_from_slice(rest.get(begins..).unwrap_or_default());
    // It is held for as long as it is not read, and by its length.
    text.shrink_to_fit();
    Ok(text)
}

/// Up to and with the bracket that opens the list.
fn head(frame: &impl Serialize) -> serde_json::Result<Vec<u8>> {
    let mut text = serde_json::to_vec(frame)?;
    let opens = text.iter().position(|byte| *byte == b'[').map_or(text.len(), |at| at + 1);
    text.truncate(opens);
    Ok(text)
}
