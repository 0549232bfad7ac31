//! The database: its schema, what is written into it, and what to do when it is damaged.

use std::ffi::OsString;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use rusqlite::{Connection, ErrorCode, Row, Transaction, named_params};
use tracing::{error, warn};

use crate::clock::{Clock, Moment};
use crate::fleet::{Changes, Received, Record, Restored};
use crate::protocol;

/// Number of the schema, kept as `user_version`.
const SCHEMA_VERSION: i64 = 1;

/// The reports are kept as they came; see `fleet::record`. The readings, long and always new, have a table of their own,
/// so that the counts of a board can be written without them. Times are milliseconds since 1970.
const SCHEMA: &str = "
    CREATE TABLE board (
        id TEXT PRIMARY KEY,
        heartbeat BLOB NOT NULL,
        first_seen INTEGER NOT NULL,
        last_seen INTEGER NOT NULL,
        heartbeats_missed_in_a_row INTEGER NOT NULL,
        heartbeats_missed INTEGER NOT NULL,
        resources_missed_in_a_row INTEGER NOT NULL,
        resources_missed INTEGER NOT NULL
    ) STRICT;
    CREATE TABLE resource (
        board TEXT PRIMARY KEY REFERENCES board (id) ON DELETE CASCADE,
        received INTEGER NOT NULL,
        report BLOB NOT NULL
    ) STRICT;
";

/// How long a statement waits for somebody who has the database open, such as an operator with `sqlite3`.
const BUSY_PATIENCE: Duration = Duration::from_secs(2);

/// Why the store does not work.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// SQLite says no.
    #[error("the database failed: {0}")]
    Sqlite(rusqlite::Error),
    /// A damaged database could not be set aside.
    #[error("cannot set aside {}: {source}", path.display())]
    SetAside {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The file is not to be used as it is.
    #[error("{0}")]
    Unfit(String),
    /// There is no thread for it.
    #[error("cannot start the store's thread: {0}")]
    Thread(io::Error),
    /// Its thread has ended.
    #[error("the store has stopped")]
    Stopped,
}

/// An open database with the right schema.
pub(super) struct Database {
    connection: Connection,
}

impl Database {
    /// Opens it, or sets it aside if it is damaged and begins a new one: the fleet is asked again every few seconds, so a
    /// manager without its inventory is better than none.
    pub(super) fn open_or_replace(path: &Path, clock: Clock) -> Result<(Self, Vec<Restored>), StoreError> {
        match Self::open(path, clock) {
            Err(error) if error.is_about_the_file() => {
                let aside = set_aside(path)?;
                error!(path = %path.display(), aside = %aside.display(), reason = %error,
                       "the inventory cannot be used and was set aside, beginning a new one");
                Self::open(path, clock)
            }
            opened => opened,
        }
    }

    fn open(path: &Path, clock: Clock) -> Result<(Self, Vec<Restored>), StoreError> {
        let connection = Connection::open(path)?;
        connection.busy_timeout(BUSY_PATIENCE)?;
        connection.pragma_update(None, "foreign_keys", true)?;
        // A crash of the manager loses nothing that was written; a crash of the machine may lose the last batches, and
        // the boards tell it all again.
        connection.pragma_update_and_check(None, "journal_mode", "WAL", |_| Ok(()))?;
        connection.pragma_update(None, "synchronous", "NORMAL")?;
        let mut database = Self { connection };
        database.check()?;
        database.migrate()?;
        let boards = database.load(clock)?;
        Ok((database, boards))
    }

    fn check(&self) -> Result<(), StoreError> {
        let verdict: String = self.connection.pragma_query_value(None, "quick_check", |row| row.get(0))?;
        if verdict != "ok" {
            return Err(StoreError::Unfit(format!("the database is damaged: {verdict}")));
        }
        Ok(())
    }

    fn migrate(&mut self) -> Result<(), StoreError> {
        let version: i64 = self.connection.pragma_query_value(None, "user_version", |row| row.get(0))?;
        match version {
            SCHEMA_VERSION => Ok(()),
            0 => {
                let transaction = self.connection.transaction()?;
                transaction.execute_batch(SCHEMA)?;
                transaction.pragma_update(None, "user_version", SCHEMA_VERSION)?;
                Ok(transaction.commit()?)
            }
            other => Err(StoreError::Unfit(format!(
                "the schema is version {other}, this manager knows {SCHEMA_VERSION}"
            ))),
        }
    }

    /// Every board. One whose reports are no longer understood is left out, and told anew by itself.
    fn load(&self, clock: Clock) -> Result<Vec<Restored>, StoreError> {
        let mut statement = self.connection.prepare(
            "SELECT board.*, received, report FROM board LEFT JOIN resource ON resource.board = board.id",
        )?;
        let mut rows = statement.query([])?;
        let mut boards = Vec::new();
        while let Some(row) = rows.next()? {
            match restored(row, clock)? {
                Ok(board) => boards.push(board),
                Err(error) => {
                    let id: String = row.get("id")?;
                    warn!(board = id, %error, "a saved board is not understood and left out");
                }
            }
        }
        Ok(boards)
    }

    /// Writes one batch, wholly or not at all.
    pub(super) fn save(&mut self, changes: &Changes, clock: Clock) -> Result<(), StoreError> {
        let transaction = self.connection.transaction()?;
        for id in &changes.forgotten {
            transaction.prepare_cached("DELETE FROM board WHERE id = ?")?.execute([id.as_str()])?;
        }
        for record in &changes.boards {
            save_board(&transaction, record, clock)?;
        }
        Ok(transaction.commit()?)
    }
}

fn restored(row: &Row<'_>, clock: Clock) -> Result<Result<Restored, protocol::BadReport>, rusqlite::Error> {
    let moment = |column: &str| row.get::<_, i64>(column).map(|millis| moment(clock, millis));
    let missed = |in_a_row: &str, total: &str| -> rusqlite::Result<(u32, u64)> {
        Ok((row.get(in_a_row)?, u64::try_from(row.get::<_, i64>(total)?).unwrap_or(0)))
    };
    let heartbeat: Vec<u8> = row.get("heartbeat")?;
    let resource: Option<Vec<u8>> = row.get("report")?;
    let first_seen = moment("first_seen")?;
    let last_seen = moment("last_seen")?;
    let missed = [
        missed("heartbeats_missed_in_a_row", "heartbeats_missed")?,
        missed("resources_missed_in_a_row", "resources_missed")?,
    ];
    let resource = match resource {
        // Without their age readings say nothing, and new ones come soon.
        Some(body) => moment("received")?.map(|at| (body, at)),
        None => None,
    };
    let parsed = protocol::heartbeat::parse(&heartbeat).map(|(report, _)| Restored {
        heartbeat: (report, heartbeat.len()),
        // Readings that are not understood are only old readings.
        resource: resource.and_then(|(body, at)| {
            let head = protocol::resource::head(&body).ok()?;
            Some(Received { body: body.into(), at, summary: head.summary })
        }),
        first_seen,
        last_seen,
        missed,
    });
    Ok(parsed)
}

fn save_board(transaction: &Transaction<'_>, record: &Record, clock: Clock) -> rusqlite::Result<()> {
    let board = &record.board;
    let (heartbeats, resources) = (board.answers.heartbeat, board.answers.resource);
    let first_seen = board.first_seen.map(|seen| millis(clock, seen));
    // Of a board that was not heard in this run the row knows it better: the clock may be another now.
    let heard = heartbeats.last.or(resources.last).and(board.last_seen);
    let last_seen = heard.map(|seen| millis(clock, seen));
    let total = |count: u64| i64::try_from(count).unwrap_or(i64::MAX);
    if let Some(heartbeat) = &record.heartbeat {
        let upsert = "INSERT INTO board VALUES (?1, ?2, COALESCE(?3, ?4, 0), COALESCE(?4, 0), 0, 0, 0, 0)
            ON CONFLICT (id) DO UPDATE SET heartbeat = excluded.heartbeat, first_seen = COALESCE(?3, first_seen)";
        let values = (board.id.as_str(), &**heartbeat, first_seen, last_seen);
        transaction.prepare_cached(upsert)?.execute(values)?;
    }
    let update = "UPDATE board SET last_seen = COALESCE(:last_seen, last_seen),
            heartbeats_missed_in_a_row = :heartbeats_in_a_row, heartbeats_missed = :heartbeats,
            resources_missed_in_a_row = :resources_in_a_row, resources_missed = :resources
        WHERE id = :id";
    let known = transaction.prepare_cached(update)?.execute(named_params! {
        ":id": board.id.as_str(),
        ":last_seen": last_seen,
        ":heartbeats_in_a_row": heartbeats.missed_in_a_row,
        ":heartbeats": total(heartbeats.missed_total),
        ":resources_in_a_row": resources.missed_in_a_row,
        ":resources": total(resources.missed_total),
    })?;
    // Somebody deleted the row behind our back. It comes back with the next change of the heartbeat.
    if known == 0 {
        return Ok(());
    }
    if let Some(received) = board.resource.as_ref().filter(|_| record.resource) {
        let replace = "INSERT OR REPLACE INTO resource VALUES (?, ?, ?)";
        let values = (board.id.as_str(), millis(clock, received.at), &*received.body);
        transaction.prepare_cached(replace)?.execute(values)?;
    }
    Ok(())
}

fn millis(clock: Clock, moment: Moment) -> i64 {
    let since = clock.time_of_day(moment).duration_since(SystemTime::UNIX_EPOCH).unwrap_or(Duration::ZERO);
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}

fn moment(clock: Clock, millis: i64) -> Option<Moment> {
    let since = Duration::from_millis(u64::try_from(millis).unwrap_or(0));
    clock.moment(SystemTime::UNIX_EPOCH.checked_add(since).unwrap_or(SystemTime::UNIX_EPOCH))
}

impl StoreError {
    /// Whether another file would help. A full disk or a missing permission is no damage.
    fn is_about_the_file(&self) -> bool {
        match self {
            Self::Unfit(_) => true,
            // Without a code it is about a value: there is something else in the table than we wrote.
            Self::Sqlite(error) => error.sqlite_error_code().is_none_or(|code| {
                matches!(code, ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase | ErrorCode::Unknown)
            }),
            _ => false,
        }
    }
}

impl From<rusqlite::Error> for StoreError {
    fn from(error: rusqlite::Error) -> Self {
        Self::Sqlite(error)
    }
}

/// Renames the database and its log.
fn set_aside(path: &Path) -> Result<PathBuf, StoreError> {
    let now = humantime::format_rfc3339_seconds(SystemTime::now()).to_string().replace(':', "");
    let named = |suffix: &str, end: &str| {
        let mut name = OsString::from(path);
        name.push(suffix);
        name.push(end);
        PathBuf::from(name)
    };
    for end in ["-wal", "-shm", ""] {
        let (from, to) = (named("", end), named(&format!(".damaged-{now}"), end));
        match fs::rename(&from, &to) {
            Err(source) if source.kind() != io::ErrorKind::NotFound => {
                return Err(StoreError::SetAside { path: from, source });
            }
            _ => {}
        }
    }
    Ok(named(&format!(".damaged-{now}"), ""))
}

#[cfg(test)]
mod tests;
