//! A software repository that the test plays: plain HTTP, and every way in which one can go wrong.

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{Ipv4Addr, Shutdown, SocketAddrV4, TcpListener, TcpStream};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread::{Builder, JoinHandle};
use std::time::Duration;

use socket2::{Domain, Protocol, Socket, Type};

/// For how long a connection is kept that nobody uses.
const IDLE: Duration = Duration::from_secs(60);

/// What is at a path.
#[derive(Debug, Clone)]
pub enum Shelf {
    /// The file.
    File(Arc<[u8]>),
    /// A status without a file.
    Status(u16),
    /// The head and some bytes, then nothing, until [`Repository::let_go`].
    Stalls(Arc<[u8]>),
    /// Fewer bytes than were announced.
    Short(Arc<[u8]>),
    /// Announces this many bytes, and would send them.
    Announces(u64),
    /// Another place.
    Redirect(String),
    /// The connection breaks before there is an answer.
    Drops,
}

#[derive(Debug, Default)]
struct Inside {
    shelves: BTreeMap<String, Shelf>,
    /// Requests by path.
    asked: BTreeMap<String, usize>,
    let_go: bool,
    over: bool,
}

#[derive(Debug, Default)]
struct Shared {
    inside: Mutex<Inside>,
    changed: Condvar,
}

impl Shared {
    fn with<T>(&self, look: impl FnOnce(&mut Inside) -> T) -> T {
        look(&mut self.inside.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// See the module.
#[derive(Debug)]
pub struct Repository {
    address: SocketAddrV4,
    shared: Arc<Shared>,
    taking: Socket,
    thread: Option<JoinHandle<()>>,
}

impl Repository {
    #[track_caller]
    pub fn open(address: Ipv4Addr) -> Self {
        let taking = Socket::new(Domain::IPV4, Type::STREAM, Some(Protocol::TCP)).unwrap();
        taking.bind(&SocketAddrV4::new(address, 0).into()).unwrap();
        taking.listen(1024).unwrap();
        let address = taking.local_addr().unwrap().as_socket_ipv4().unwrap();
        let listener = TcpListener::from(taking.try_clone().unwrap());
        let shared = Arc::<Shared>::default();
        let serve = {
            let shared = Arc::clone(&shared);
            move || accept(&listener, &shared)
        };
        let thread = Builder::new().name(format!("repository {address}")).spawn(serve).unwrap();
        Self { address, shared, taking, thread: Some(thread) }
    }

    /// What a request has as `url`.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Puts a file at a path without the first slash.
    pub fn put(&self, path: &str, file: impl Into<Arc<[u8]>>) {
        self.shelve(path, Shelf::File(file.into()));
    }

    pub fn shelve(&self, path: &str, shelf: Shelf) {
        self.shared.with(|inside| inside.shelves.insert(format!("/{path}"), shelf));
    }

    /// How often a path was asked for.
    pub fn asked(&self, path: &str) -> usize {
        self.shared.with(|inside| inside.asked.get(&format!("/{path}")).copied().unwrap_or_default())
    }

    /// What stalls goes on.
    pub fn let_go(&self) {
        self.shared.with(|inside| inside.let_go = true);
        self.shared.changed.notify_all();
    }
}

impl Drop for Repository {
    fn drop(&mut self) {
        self.shared.with(|inside| inside.over = true);
        self.shared.changed.notify_all();
        // Wakes the thread that accepts.
        let _closed = self.taking.shutdown(Shutdown::Both);
        let _ended = self.thread.take().map(JoinHandle::join);
    }
}

fn accept(listener: &TcpListener, shared: &Arc<Shared>) {
    while let Ok((stream, from)) = listener.accept() {
        let shared = Arc::clone(shared);
        // Whoever asks may go away at any time.
        let serve = move || drop(serve(&stream, &shared));
        Builder::new().name(format!("repository for {from}")).spawn(serve).unwrap();
    }
}

/// One answer a connection.
fn serve(stream: &TcpStream, shared: &Shared) -> std::io::Result<()> {
    stream.set_read_timeout(Some(IDLE))?;
    stream.set_write_timeout(Some(IDLE))?;
    let mut lines = BufReader::new(stream).lines();
    let first = lines.next().unwrap_or_else(|| Ok(String::new()))?;
    while lines.next().transpose()?.is_some_and(|line| !line.is_empty()) {}
    let path = first.split(' ').nth(1).unwrap_or_default().to_owned();
    let shelf = shared.with(|inside| {
        *inside.asked.entry(path.clone()).or_default() += 1;
        inside.shelves.get(&path).cloned().unwrap_or(Shelf::Status(404))
    });
    answer(stream, &shelf, shared)?;
    stream.shutdown(Shutdown::Both)
}

fn answer(mut stream: &TcpStream, shelf: &Shelf, shared: &Shared) -> std::io::Result<()> {
    let head = |status: u16, length: u64, more: &str| {
        format!("HTTP/1.1 {status} Said\r\nContent-Length: {length}\r\nConnection: close\r\n{more}\r\n")
            .into_bytes()
    };
    let length = |file: &[u8]| file.len() as u64;
    match shelf {
        Shelf::File(file) => {
            stream.write_all(&head(200, length(file), ""))?;
            stream.write_all(file)
        }
        Shelf::Status(status) => stream.write_all(&head(*status, 0, "")),
        Shelf::Stalls(file) => {
            let (begin, rest) = file.split_at(file.len() / 2);
            stream.write_all(&head(200, length(file), ""))?;
            stream.write_all(begin)?;
            let inside = shared.inside.lock().unwrap_or_else(PoisonError::into_inner);
            drop(shared.changed.wait_while(inside, |inside| !inside.let_go && !inside.over));
            stream.write_all(rest)
        }
        Shelf::Short(file) => {
            stream.write_all(&head(200, length(file) + 1, ""))?;
            stream.write_all(file)
        }
        Shelf::Announces(bytes) => {
            stream.write_all(&head(200, *bytes, ""))?;
            let zeros = [0; 64 << 10];
            (0..bytes.div_ceil(64 << 10)).try_for_each(|_| stream.write_all(&zeros))
        }
        Shelf::Redirect(to) => stream.write_all(&head(302, 0, &format!("Location: {to}\r\n"))),
        Shelf::Drops => Ok(()),
    }
}
