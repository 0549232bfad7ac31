//! `cardcage logs`: what an instance printed. What it prints is shown, never obeyed, except for its line ends and tabs.

use std::io::{self, Write};
use std::thread::sleep;
use std::time::Duration;

use cardcage_manager::agents::escaped;
use cardcage_manager::api::types::{Deployment, Log};
use cardcage_manager::model::text::is_obeyed;

use crate::args::Args;
use crate::client::{self, Client};
use crate::failure::Failure;
use crate::screen;

/// How often it is asked for more.
const EVERY: Duration = Duration::from_millis(500);

/// Bytes that are asked for at once. So many hold the end of nearly every log.
const PIECE: usize = 256 << 10;

/// Looks for more between two looks at whether the instance is still there.
const LOOKS: u32 = 6;

/// Shows what there is, and goes on if it is told to.
pub(crate) fn show(
    args: &Args,
    client: &Client,
    uuid: &str,
    follow: bool,
    tail: Option<usize>,
) -> Result<(), Failure> {
    let token = args.token()?;
    let start = if tail.is_some() { format!("limit={PIECE}&tail={PIECE}") } else { format!("limit={PIECE}") };
    let (mut query, mut first, mut idle) = (start, true, 0);
    loop {
        let piece = match client.log(uuid, &query, &token) {
            // What passes by itself is no reason to stop following.
            Err(failure) if follow && !first && may_pass(&failure) => {
                let _ = writeln!(io::stderr(), "cardcage: {}", screen::clean(&failure.to_string()));
                sleep(EVERY * 4);
                continue;
            }
            answer => answer?.ok_or_else(|| Failure::Gone { uuid: uuid.to_owned() })?,
        };
        let mut piece: Log = client::typed(&piece)?;
        if let (true, Some(lines)) = (first, tail) {
            piece.text = last_lines(&piece.text, lines).to_owned();
            piece.lost = None;
        }
        write(args, &piece)?;
        let is_end = piece.text.is_empty() || tail.is_some() && first;
        query = format!("limit={PIECE}&after={}", escaped(&piece.next));
        first = false;
        if !is_end {
            idle = 0;
            continue;
        }
        if !follow {
            return Ok(());
        }
        idle += 1;
        if idle % LOOKS == 0 && has_ended(client, uuid)? {
            return Ok(());
        }
        sleep(EVERY);
    }
}

/// The manager is away, or the board is.
fn may_pass(failure: &Failure) -> bool {
    failure.may_pass() || matches!(failure, Failure::Problem(problem) if problem.status == 502)
}

/// Whether nothing more can come; says so.
fn has_ended(client: &Client, uuid: &str) -> Result<bool, Failure> {
    let deployment: Deployment = match client.deployment(uuid) {
        Err(Failure::Problem(problem)) if problem.status == 404 => {
            return Err(Failure::Gone { uuid: uuid.to_owned() });
        }
        Err(failure) if failure.may_pass() => return Ok(false),
        answer => client::typed(&answer?)?,
    };
    let ended = matches!(deployment.state.as_deref(), Some("STOPPED" | "FAILED"));
    if ended {
        let state = deployment.state.unwrap_or_default().to_lowercase();
        let _ = writeln!(io::stderr(), "cardcage: {} is {state}", screen::clean(uuid));
    }
    Ok(ended)
}

fn write(args: &Args, piece: &Log) -> Result<(), Failure> {
    if args.json {
        // One object a line, so that programs can follow too.
        let line = serde_json::to_value(piece).unwrap_or_default();
        return if piece.text.is_empty() { Ok(()) } else { screen::print(&format!("{line}\n")) };
    }
    if let Some(lost) = piece.lost.filter(|lost| *lost > 0) {
        let _ = writeln!(io::stderr(), "cardcage: {lost} bytes before this are gone");
    }
    screen::print(&harmless(&piece.text))
}

fn harmless(text: &str) -> String {
    text.replace(|character| is_obeyed(character) && !matches!(character, '\n' | '\t'), "\u{FFFD}")
}

fn last_lines(text: &str, lines: usize) -> &str {
    let body = text.strip_suffix('\n').unwrap_or(text);
    match lines.checked_sub(1).map(|before| body.rmatch_indices('\n').nth(before)) {
        None => "",
        Some(None) => text,
        Some(Some((at, _))) => text.get(at + 1..).unwrap_or(text),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_lines_are_whole_lines() {
        for (text, lines, expected) in [
            ("a\nb\nc\n", 2, "b\nc\n"),
            ("a\nb\nc", 2, "b\nc"),
            ("a\nb\n", 9, "a\nb\n"),
            ("a\nb\n", 0, ""),
            ("", 3, ""),
        ] {
            assert_eq!(last_lines(text, lines), expected, "{text:?} {lines}");
        }
    }

    #[test]
    fn what_a_terminal_would_obey_is_taken_out_of_a_log() {
        assert_eq!(harmless("a\tb\n\u{1b}[2Jc\r\n"), "a\tb\n\u{FFFD}[2Jc\u{FFFD}\n");
    }
}
