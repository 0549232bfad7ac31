//! Which board is meant: an id, or less than that.

use std::net::Ipv4Addr;

use cardcage_manager::api::types::Board;

use crate::args::BoardFilter;
use crate::client::{self, Client, is_id};
use crate::failure::Failure;

/// Candidates that are named when several fit.
const NAMED: usize = 5;

/// The id of the board that is called so.
pub(crate) fn board(client: &Client, name: &str) -> Result<String, Failure> {
    let boards = client.boards(&BoardFilter::default())?;
    let boards = boards.iter().map(client::typed).collect::<Result<Vec<Board>, _>>()?;
    let mut candidates = matching(&boards, name);
    candidates.retain(|id| is_id(id));
    match candidates.as_slice() {
        [] => Err(Failure::NoSuchBoard(name.to_owned())),
        [id] => Ok((*id).to_owned()),
        several => {
            let more = if several.len() > NAMED { " …" } else { "" };
            let candidates = several.iter().take(NAMED).copied().collect::<Vec<_>>().join(", ") + more;
            Err(Failure::Ambiguous { name: name.to_owned(), candidates })
        }
    }
}

/// The ids that a name fits. A whole id is meant before anything else, and a name of any sort before the beginning of an id.
fn matching<'a>(boards: &'a [Board], name: &str) -> Vec<&'a str> {
    let place = place(name);
    let address = name.parse::<Ipv4Addr>().ok();
    let named = |board: &Board| {
        board.hostname == name
            || address.is_some_and(|address| board.addresses.contains(&address))
            || place == Some((board.box_id, board.slot_id, board.cpu_id))
    };
    let rules: [&dyn Fn(&Board) -> bool; 3] =
        [&|board| board.id == name, &named, &|board| !name.is_empty() && board.id.starts_with(name)];
    let found =
        rules.iter().map(|rule| boards.iter().filter(|board| rule(board)).map(|board| board.id.as_str()));
    found.map(Iterator::collect::<Vec<_>>).find(|ids| !ids.is_empty()).unwrap_or_default()
}

/// `1/3/1` as box, slot and cpu.
fn place(name: &str) -> Option<(i32, i32, i32)> {
    let numbers: Vec<i32> = name.split('/').map(|number| number.parse().ok()).collect::<Option<_>>()?;
    match numbers[..] {
        [box_id, slot_id, cpu_id] => Some((box_id, slot_id, cpu_id)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::table::tests::board as any_board;

    fn fleet() -> Vec<Board> {
        let board = |id: &str, hostname: &str, slot_id, last| Board {
            id: id.into(),
            hostname: hostname.into(),
            slot_id,
            addresses: vec![Ipv4Addr::new(10, 0, 0, last)],
            ..any_board()
        };
        vec![board("1-3-1-0-node7", "node7", 3, 7), board("2b1f", "node8", 4, 8), board("2b2f", "2b1f", 5, 8)]
    }

    #[test]
    fn a_board_is_found_by_whatever_names_it() {
        let found = |name: &str| matching(&fleet(), name).into_iter().map(str::to_owned).collect::<Vec<_>>();
        assert_eq!(found("1-3-1-0-node7"), ["1-3-1-0-node7"]);
        assert_eq!(found("node8"), ["2b1f"]);
        assert_eq!(found("10.0.0.7"), ["1-3-1-0-node7"]);
        assert_eq!(found("10.0.0.8"), ["2b1f", "2b2f"]);
        assert_eq!(found("1/4/1"), ["2b1f"]);
        assert_eq!(found("1-3"), ["1-3-1-0-node7"]);
        assert_eq!(found("2b"), ["2b1f", "2b2f"]);
        assert_eq!(found("2b1f"), ["2b1f"], "the id comes before the host name");
        assert!(found("").is_empty() && found("node").is_empty());
    }
}
