//! Which board: its identity, its place, and how it stands.

use std::borrow::Borrow;
use std::fmt;
use std::fmt::Write as _;
use std::sync::Arc;

use uuid::Uuid;

use super::Heartbeat;

/// The key of a board, and its name in the API: made of characters that need no escape in a URL.
///
/// * the agent's UUID, where the agent has one;
/// * else `box-slot-cpu-srio-hostname`, such as `1-3-1-0-node7`. Whatever else stands in a host name is written as `~`
///   and two hexadecimal digits a byte, so that two boards never share an id.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct BoardId(Arc<str>);

impl BoardId {
    /// Who sent this heartbeat.
    pub fn of(heartbeat: &Heartbeat) -> Self {
        match &heartbeat.agent {
            Some(agent) => Self::of_agent(agent.id),
            None => Self::of_plain(heartbeat.position, heartbeat.hostname.as_str()),
        }
    }

    /// The board of an agent that has an id of its own.
    pub fn of_agent(id: Uuid) -> Self {
        let mut buffer = Uuid::encode_buffer();
        Self(Arc::from(&*id.hyphenated().encode_lower(&mut buffer)))
    }

    /// The board of an agent that speaks v1.1 alone.
    fn of_plain(position: Position, hostname: &str) -> Self {
        let Position { box_id, slot_id, cpu_id, srio_id } = position;
        let mut id = format!("{box_id}-{slot_id}-{cpu_id}-{srio_id}-");
        let place = id.len();
        push_escaped(&mut id, hostname);
        if Uuid::try_parse(&id).is_ok() {
            // A place and a host name that together spell a UUID must not pass for the agent of that id.
            id.truncate(place);
            push_bytes(&mut id, hostname.as_bytes());
        }
        Self(id.into())
    }

    /// The id as the store and the API write it.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

fn push_escaped(id: &mut String, hostname: &str) {
    for character in hostname.chars() {
        if character.is_ascii_alphanumeric() || matches!(character, '-' | '.' | '_') {
            id.push(character);
        } else {
            push_bytes(id, character.encode_utf8(&mut [0; 4]).as_bytes());
        }
    }
}

fn push_bytes(id: &mut String, bytes: &[u8]) {
    for byte in bytes {
        // Writing to a String cannot fail.
        let _ = write!(id, "~{byte:02X}");
    }
}

impl From<&str> for BoardId {
    /// An id that was made here before: from the store, or from a URL to look it up.
    fn from(id: &str) -> Self {
        Self(id.into())
    }
}

impl Borrow<str> for BoardId {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for BoardId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

/// Where a board says it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Position {
    /// Number of the chassis.
    pub box_id: i32,
    /// Number of the slot in the chassis.
    pub slot_id: i32,
    /// Number of the processor in the slot.
    pub cpu_id: i32,
    /// Its address on the serial RapidIO fabric.
    pub srio_id: i32,
}

impl Position {
    /// The place that one host alone can have. None for 0, 0, 0: nobody told the board where it is.
    ///
    /// The RapidIO number is not part of it: it is an address of the processor in that place, and two hosts that differ
    /// in it alone still claim one place.
    pub fn slot(self) -> Option<Slot> {
        let slot = Slot { box_id: self.box_id, slot_id: self.slot_id, cpu_id: self.cpu_id };
        (slot != Slot::default()).then_some(slot)
    }
}

/// The place of one processor.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Slot {
    /// Number of the chassis.
    pub box_id: i32,
    /// Number of the slot in the chassis.
    pub slot_id: i32,
    /// Number of the processor in the slot.
    pub cpu_id: i32,
}

impl fmt::Display for Slot {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}/{}/{}", self.box_id, self.slot_id, self.cpu_id)
    }
}

/// How a board stands. See `fleet::board` for the rules.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum State {
    /// Answers.
    Up,
    /// Did not answer lately.
    Late,
    /// Does not answer.
    Lost,
}

impl State {
    /// Every state, in the order of the tables.
    pub const ALL: [Self; 3] = [Self::Up, Self::Late, Self::Lost];

    /// The word for it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Up => "up",
            Self::Late => "late",
            Self::Lost => "lost",
        }
    }
}

/// What a query asks for, and what a report is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Subject {
    /// Who the board is.
    Heartbeat,
    /// How the board is.
    Resource,
}

impl Subject {
    /// The path of the report.
    pub const fn path(self) -> &'static str {
        match self {
            Self::Heartbeat => "/heartbeat",
            Self::Resource => "/resource",
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use proptest::prelude::*;

    use super::*;

    fn plain(place: (i32, i32, i32, i32), hostname: &str) -> BoardId {
        let (box_id, slot_id, cpu_id, srio_id) = place;
        BoardId::of_plain(Position { box_id, slot_id, cpu_id, srio_id }, hostname)
    }

    #[test]
    fn a_plain_board_has_a_readable_id() {
        assert_eq!(plain((1, 3, 1, 0), "node7").as_str(), "1-3-1-0-node7");
        assert_eq!(plain((1, 3, 1, 0), "节 7/b").as_str(), "1-3-1-0-~E8~8A~82~207~2Fb");
    }

    #[test]
    fn a_plain_board_cannot_pass_for_an_agent() {
        let uuid = "12345678-1234-1234-1234-123456789012";
        let forged = plain((12_345_678, 1234, 1234, 1234), "123456789012");
        assert_ne!(forged, BoardId::of_agent(Uuid::parse_str(uuid).unwrap()));
        assert!(Uuid::parse_str(forged.as_str()).is_err());
    }

    #[test]
    fn an_unset_position_is_no_slot() {
        assert_eq!(Position { srio_id: 4, ..Position::default() }.slot(), None);
        assert!(Position { box_id: 1, ..Position::default() }.slot().is_some());
    }

    proptest! {
        #[test]
        fn two_plain_boards_never_share_an_id(
            boards in proptest::collection::vec(((-2..20, -2..20, 0..2, 0..2), "[-0-9a~%节 ]{0,6}"), 2..40)
        ) {
            let mut seen = HashMap::new();
            for (place, hostname) in boards {
                let id = plain(place, &hostname);
                prop_assert!(id.as_str().bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte)));
                let first = seen.entry(id).or_insert((place, hostname.clone()));
                prop_assert_eq!(&*first, &(place, hostname));
            }
        }
    }
}
