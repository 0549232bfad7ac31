//! The deployments on disk: SQLite, in `state_dir/deployments.db`, beside the inventory and not in it.
//!
//! The inventory can be lost, since boards tell it anew, and is written in batches. What was ordered can not: each write
//! is on the disk before it is told, and a damaged file is never replaced by an empty one without a word.
//!
//! ```text
//! book ──Write, in the order of the changes──▶ thread ──all that wait, in one transaction, fsync──▶ file
//!      ◀──────────── written | why not ───────┘
//! ```

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError, mpsc};
use std::time::Duration;

use cardcage_daemon::state_dir::StateDir;
use rusqlite::{Connection, Row, named_params};
use tokio::sync::oneshot;
use tokio::time::timeout;
use tracing::info;

use crate::model::{BoardId, Deployment, Desired, InstanceId, Order, Outcome};

/// Number of the schema, kept as `user_version`.
const SCHEMA_VERSION: i64 = 2;

/// What a file of version 1 lacks.
const FROM_1: &str = "ALTER TABLE deployment ADD COLUMN agent TEXT;";

/// `id_number` or `id_text` is there, or none. `kind` and `order_…` are null where somebody else started it.
const SCHEMA: &str = "
    CREATE TABLE deployment (
        uuid TEXT PRIMARY KEY,
        board TEXT NOT NULL,
        kind TEXT,
        url TEXT,
        file TEXT,
        cpu INTEGER,
        memory INTEGER,
        gpu INTEGER,
        instance_id TEXT,
        instance_index INTEGER,
        name TEXT,
        options TEXT,
        desired TEXT NOT NULL,
        open INTEGER NOT NULL,
        id_number INTEGER,
        id_text TEXT,
        outcome TEXT,
        message TEXT NOT NULL,
        ordered INTEGER NOT NULL,
        agent TEXT
    ) STRICT;
";

/// Writes that may wait for the thread.
const QUEUE: usize = 256;

/// Writes that go into one transaction.
const TOGETHER: usize = 64;

/// How long a statement waits for somebody who has the database open.
const BUSY_PATIENCE: Duration = Duration::from_secs(2);

/// Longest time that closing may take.
const CLOSE_DEADLINE: Duration = Duration::from_secs(5);

/// Why the deployments cannot be kept.
#[derive(Debug, thiserror::Error)]
pub enum OrdersError {
    /// SQLite says no.
    #[error("the deployments cannot be saved: {0}")]
    Sqlite(#[from] rusqlite::Error),
    /// It cannot be opened, or is not what it was.
    #[error("the deployments in {} cannot be read: {reason}; put a copy of the file in its place, or move it away: what runs on the boards is then shown as unmanaged", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        reason: String,
    },
    /// There is no thread for it.
    #[error("cannot start the thread of the deployments: {0}")]
    Thread(std::io::Error),
    /// More is ordered than the disk can take.
    #[error("too many orders wait for the disk; try again")]
    Busy,
    /// Its thread has ended.
    #[error("the manager is stopping")]
    Stopped,
}

/// What to change.
#[derive(Debug, Default)]
pub struct Write {
    /// New or changed.
    pub put: Vec<Deployment>,
    /// No longer needed.
    pub dropped: Vec<String>,
}

struct Job {
    write: Write,
    reply: oneshot::Sender<Result<(), String>>,
}

/// A write that was accepted. Its place among the others is fixed; it is done when this says so.
pub struct Written(oneshot::Receiver<Result<(), String>>);

impl Written {
    /// Waits for the disk.
    pub async fn done(self) -> Result<(), String> {
        self.0.await.unwrap_or_else(|_| Err(OrdersError::Stopped.to_string()))
    }
}

/// The handle.
pub struct Orders {
    /// None once it is closed.
    jobs: Mutex<Option<mpsc::SyncSender<Job>>>,
    ended: Mutex<Option<oneshot::Receiver<()>>>,
}

impl Orders {
    /// Opens the file, reads what is in it, and starts the thread.
    pub fn open(dir: &StateDir) -> Result<(Self, Vec<Deployment>), OrdersError> {
        let path = dir.path().join("deployments.db");
        let (connection, all) = open(&path)?;
        info!(deployments = all.len(), path = %path.display(), "deployments restored");
        let (jobs, queue) = mpsc::sync_channel::<Job>(QUEUE);
        let (end, ended) = oneshot::channel();
        let run = move || {
            run(connection, &queue);
            let _ = end.send(());
        };
        std::thread::Builder::new().name("deployments".to_owned()).spawn(run).map_err(OrdersError::Thread)?;
        Ok((Self { jobs: Mutex::new(Some(jobs)), ended: Mutex::new(Some(ended)) }, all))
    }

    /// Accepts a write, without waiting.
    pub fn write(&self, write: Write) -> Result<Written, OrdersError> {
        let (reply, written) = oneshot::channel();
        let jobs = self.jobs.lock().unwrap_or_else(PoisonError::into_inner);
        let jobs = jobs.as_ref().ok_or(OrdersError::Stopped)?;
        jobs.try_send(Job { write, reply }).map_err(|error| match error {
            mpsc::TrySendError::Full(_) => OrdersError::Busy,
            mpsc::TrySendError::Disconnected(_) => OrdersError::Stopped,
        })?;
        Ok(Written(written))
    }

    /// Closes the file. What was accepted is written first.
    pub async fn close(&self) {
        self.jobs.lock().unwrap_or_else(PoisonError::into_inner).take();
        let ended = self.ended.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(ended) = ended {
            let _ = timeout(CLOSE_DEADLINE, ended).await;
        }
    }
}

fn run(mut connection: Connection, queue: &mpsc::Receiver<Job>) {
    while let Ok(first) = queue.recv() {
        let jobs: Vec<Job> = std::iter::once(first).chain(queue.try_iter().take(TOGETHER)).collect();
        let outcome = save(&mut connection, jobs.iter().map(|job| &job.write));
        for job in jobs {
            // Nobody waits any more when a request was given up.
            let _ = job.reply.send(outcome.as_ref().copied().map_err(ToString::to_string));
        }
    }
}

fn open(path: &Path) -> Result<(Connection, Vec<Deployment>), OrdersError> {
    let damaged = |reason: String| OrdersError::Damaged { path: path.to_owned(), reason };
    let read = || -> rusqlite::Result<(Connection, i64)> {
        let connection = Connection::open(path)?;
        // Options may have secrets in them. Where the mode cannot be set, the directory is private all the same.
        let _ = std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600));
        connection.busy_timeout(BUSY_PATIENCE)?;
        connection.pragma_update_and_check(None, "journal_mode", "WAL", |_| Ok(()))?;
        // What was told to be ordered must be there after a crash of the machine too.
        connection.pragma_update(None, "synchronous", "FULL")?;
        let verdict: String = connection.pragma_query_value(None, "quick_check", |row| row.get(0))?;
        let version = connection.pragma_query_value(None, "user_version", |row| row.get(0))?;
        Ok((connection, if verdict == "ok" { version } else { -1 }))
    };
    let (mut connection, version) = read().map_err(|error| damaged(error.to_string()))?;
    match version {
        SCHEMA_VERSION => {}
        0 => change(&mut connection, SCHEMA)?,
        1 => change(&mut connection, FROM_1)?,
        -1 => return Err(damaged("it is damaged".to_owned())),
        other => {
            return Err(damaged(format!("it is of version {other}, this manager knows {SCHEMA_VERSION}")));
        }
    }
    let all = load(&connection).map_err(|error| damaged(error.to_string()))?;
    Ok((connection, all))
}

fn change(connection: &mut Connection, schema: &str) -> rusqlite::Result<()> {
    let transaction = connection.transaction()?;
    transaction.execute_batch(schema)?;
    transaction.pragma_update(None, "user_version", SCHEMA_VERSION)?;
    transaction.commit()
}

fn load(connection: &Connection) -> rusqlite::Result<Vec<Deployment>> {
    let mut statement = connection.prepare("SELECT * FROM deployment")?;
    let rows = statement.query_map([], deployment)?;
    rows.collect()
}

fn deployment(row: &Row<'_>) -> rusqlite::Result<Deployment> {
    let kind: Option<String> = row.get("kind")?;
    let board: String = row.get("board")?;
    let desired: String = row.get("desired")?;
    let outcome: Option<String> = row.get("outcome")?;
    let agent: Option<String> = row.get("agent")?;
    let number: Option<i64> = row.get("id_number")?;
    let text: Option<String> = row.get("id_text")?;
    let number = number.and_then(|number| u64::try_from(number).ok()).map(InstanceId::Number);
    Ok(Deployment {
        uuid: row.get("uuid")?,
        board: BoardId::from(board.as_str()),
        order: order(row, kind.as_ref())?,
        kind,
        // What this version does not know it must not start.
        desired: if desired == Desired::Running.name() { Desired::Running } else { Desired::Stopped },
        open: row.get("open")?,
        id: number.or(text.map(InstanceId::Text)),
        outcome: outcome.as_deref().and_then(Outcome::from_name),
        message: row.get("message")?,
        ordered: row.get("ordered")?,
        answered: 0,
        agent: agent.and_then(|agent| agent.parse().ok()),
    })
}

fn order(row: &Row<'_>, kind: Option<&String>) -> rusqlite::Result<Option<Order>> {
    let (url, file): (Option<String>, Option<String>) = (row.get("url")?, row.get("file")?);
    let (Some(kind), Some(url), Some(file)) = (kind, url, file) else { return Ok(None) };
    Ok(Some(Order {
        kind: kind.clone(),
        url,
        file,
        cpu: row.get("cpu")?,
        memory: u64::try_from(row.get::<_, i64>("memory")?).unwrap_or(0),
        gpu: row.get("gpu")?,
        instance_id: row.get("instance_id")?,
        index: row.get("instance_index")?,
        name: row.get("name")?,
        options: row.get("options")?,
    }))
}

fn save<'a>(connection: &mut Connection, writes: impl Iterator<Item = &'a Write>) -> rusqlite::Result<()> {
    let transaction = connection.transaction()?;
    for write in writes {
        for uuid in &write.dropped {
            transaction.prepare_cached("DELETE FROM deployment WHERE uuid = ?")?.execute([uuid])?;
        }
        for deployment in &write.put {
            put(&transaction, deployment)?;
        }
    }
    transaction.commit()
}

fn put(connection: &Connection, deployment: &Deployment) -> rusqlite::Result<()> {
    const PUT: &str = "INSERT OR REPLACE INTO deployment VALUES (:uuid, :board, :kind, :url, :file, :cpu, :memory, :gpu,
        :instance_id, :index, :name, :options, :desired, :open, :id_number, :id_text, :outcome, :message, :ordered,
        :agent)";
    let order = deployment.order.as_ref();
    let (number, text) = match &deployment.id {
        Some(InstanceId::Number(number)) => (i64::try_from(*number).ok(), None),
        Some(InstanceId::Text(text)) => (None, Some(text)),
        None => (None, None),
    };
    connection.prepare_cached(PUT)?.execute(named_params! {
        ":uuid": deployment.uuid,
        ":board": deployment.board.as_str(),
        ":kind": deployment.kind,
        ":url": order.map(|order| &order.url),
        ":file": order.map(|order| &order.file),
        ":cpu": order.map(|order| order.cpu),
        ":memory": order.map(|order| i64::try_from(order.memory).unwrap_or(i64::MAX)),
        ":gpu": order.map(|order| order.gpu),
        ":instance_id": order.and_then(|order| order.instance_id.as_ref()),
        ":index": order.and_then(|order| order.index),
        ":name": order.and_then(|order| order.name.as_ref()),
        ":options": order.map(|order| &order.options),
        ":desired": deployment.desired.name(),
        ":open": deployment.open,
        ":id_number": number,
        ":id_text": text,
        ":outcome": deployment.outcome.map(Outcome::name),
        ":message": deployment.message,
        ":ordered": deployment.ordered,
        ":agent": deployment.agent.map(|agent| agent.to_string()),
    })?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Reply;

    fn sample(uuid: &str, id: InstanceId) -> Deployment {
        let order = Order {
            kind: "bar".into(),
            url: "u".into(),
            file: "f".into(),
            cpu: 2,
            memory: 1 << 40,
            gpu: 1,
            instance_id: None,
            index: Some(-3),
            name: Some("n".into()),
            options: "{\"env\":{}}".into(),
        };
        let mut deployment = Deployment::start(None, uuid, &BoardId::from("b"), order, 5).unwrap();
        deployment.settle(&Reply { outcome: Outcome::UnderWay, id: Some(id), message: "m".into() });
        deployment
    }

    #[tokio::test]
    async fn what_was_written_is_there_again_and_what_was_dropped_is_not() {
        let dir = tempfile::tempdir().unwrap();
        let state = StateDir::take(&dir.path().join("state")).unwrap();
        let (orders, all) = Orders::open(&state).unwrap();
        assert!(all.is_empty());
        let mode = std::fs::metadata(state.path().join("deployments.db")).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        let agent = Some("10.0.0.7:23980".parse().unwrap());
        let number = sample("a", InstanceId::Number(815)).at(agent);
        let text = sample("b", InstanceId::Text("c0ffee".into()));
        let stranger = Deployment::stop_stranger("c", &BoardId::from("x"), None, 6);
        let put = vec![number.clone(), text.clone(), stranger.clone(), sample("d", InstanceId::Number(1))];
        orders.write(Write { put, ..Write::default() }).unwrap().done().await.unwrap();
        let dropped = Write { put: vec![text.stop(9)], dropped: vec!["d".into()] };
        orders.write(dropped).unwrap().done().await.unwrap();
        orders.close().await;
        assert!(matches!(orders.write(Write::default()), Err(OrdersError::Stopped)));
        let (_orders, mut all) = Orders::open(&state).unwrap();
        all.sort_by(|one, other| one.uuid.cmp(&other.uuid));
        assert_eq!(all, [number, text.stop(9), stranger]);
    }

    #[tokio::test]
    async fn a_file_of_the_version_before_is_read_and_goes_on() {
        let dir = tempfile::tempdir().unwrap();
        let state = StateDir::take(&dir.path().join("state")).unwrap();
        let before =
            SCHEMA.replace("ordered INTEGER NOT NULL,", "ordered INTEGER NOT NULL").replace("agent TEXT", "");
        let old = Connection::open(state.path().join("deployments.db")).unwrap();
        old.execute_batch(&before).unwrap();
        old.execute_batch(
            "INSERT INTO deployment (uuid, board, desired, open, message, ordered) VALUES ('u', 'b', 'stopped', 1, '', 7);
             PRAGMA user_version = 1;",
        )
        .unwrap();
        drop(old);
        let (orders, all) = Orders::open(&state).unwrap();
        let known = Deployment::stop_stranger("u", &BoardId::from("b"), None, 7);
        assert_eq!(all, std::slice::from_ref(&known));
        let moved = known.at(Some("10.0.0.7:23980".parse().unwrap()));
        orders.write(Write { put: vec![moved.clone()], ..Write::default() }).unwrap().done().await.unwrap();
        orders.close().await;
        assert_eq!(Orders::open(&state).unwrap().1, [moved]);
    }

    #[test]
    fn a_damaged_file_is_named_and_stays_where_it_is() {
        let dir = tempfile::tempdir().unwrap();
        let state = StateDir::take(&dir.path().join("state")).unwrap();
        let path = state.path().join("deployments.db");
        std::fs::write(&path, vec![7; 8192]).unwrap();
        let error = Orders::open(&state).map(|_| ()).unwrap_err().to_string();
        assert!(error.contains("deployments.db") && error.contains("move it away"), "{error}");
        assert_eq!(std::fs::read(&path).unwrap().len(), 8192);
    }
}
