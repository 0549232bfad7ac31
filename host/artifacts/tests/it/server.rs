//! A repository of one thread for each connection. What it answers is a closure over the raw stream, so it can lie in any
//! way that a real one can. It ends, with all its threads, when it is dropped.

use std::collections::HashMap;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};

#[derive(Clone, Debug)]
pub struct Asked {
    pub path: String,
    pub headers: HashMap<String, String>,
}

impl Asked {
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(String::as_str)
    }

    /// Where the range that is asked for begins.
    pub fn from(&self) -> Option<usize> {
        self.header("range")?.strip_prefix("bytes=")?.strip_suffix('-')?.parse().ok()
    }
}

pub struct Server {
    address: SocketAddr,
    asked: Arc<Mutex<Vec<Asked>>>,
    stop: Arc<AtomicBool>,
    acceptor: Option<JoinHandle<()>>,
}

impl Server {
    pub fn start(answer: impl Fn(&Asked, usize, &mut TcpStream) + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let asked = Arc::new(Mutex::new(Vec::new()));
        let stop = Arc::new(AtomicBool::new(false));
        let (list, stopping, answer) = (Arc::clone(&asked), Arc::clone(&stop), Arc::new(answer));
        let acceptor = thread::spawn(move || {
            let mut threads = Vec::new();
            let mut streams = Vec::new();
            while let Ok((stream, _)) = listener.accept() {
                if stopping.load(Ordering::Relaxed) {
                    break;
                }
                streams.push(stream.try_clone().unwrap());
                let (list, answer) = (Arc::clone(&list), Arc::clone(&answer));
                threads.push(thread::spawn(move || serve(stream, &list, &*answer)));
            }
            // Whoever still waits for its client sees an end.
            streams.iter().for_each(|stream| drop(stream.shutdown(Shutdown::Both)));
            threads.into_iter().for_each(|thread| drop(thread.join()));
        });
        Self { address, asked, stop, acceptor: Some(acceptor) }
    }

    /// Serves that content well: ETag, ranges, conditions.
    pub fn of(content: &[u8]) -> Self {
        let file = Served::new(content);
        Self::start(move |asked, _, stream| file.answer(asked, stream))
    }

    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    pub fn port(&self) -> u16 {
        self.address.port()
    }

    pub fn asked(&self) -> Vec<Asked> {
        self.asked.lock().unwrap().clone()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        drop(TcpStream::connect(self.address));
        if let Some(acceptor) = self.acceptor.take() {
            drop(acceptor.join());
        }
    }
}

fn serve(mut stream: TcpStream, list: &Mutex<Vec<Asked>>, answer: &dyn Fn(&Asked, usize, &mut TcpStream)) {
    let mut reader = BufReader::new(stream.try_clone().unwrap());
    let mut lines = Vec::new();
    loop {
        let mut line = String::new();
        match reader.read_line(&mut line) {
            Ok(read) if read > 2 => lines.push(line.trim_end().to_owned()),
            Ok(2) => break,
            _ => return,
        }
    }
    let path = lines[0].split(' ').nth(1).unwrap_or_default().to_owned();
    let pairs = lines[1..].iter().filter_map(|line| line.split_once(": "));
    let headers = pairs.map(|(name, value)| (name.to_lowercase(), value.to_owned())).collect();
    let asked = Asked { path, headers };
    let number = {
        let mut list = list.lock().unwrap();
        list.push(asked.clone());
        list.len()
    };
    answer(&asked, number, &mut stream);
    // The acceptor still has this connection; dropping it here would not end it.
    drop(stream.shutdown(Shutdown::Both));
}

/// Errors are the client's end, which many a test wants.
pub fn send(stream: &mut TcpStream, bytes: &[u8]) -> bool {
    stream.write_all(bytes).is_ok()
}

/// All that it ever says.
pub fn say(stream: &mut TcpStream, bytes: &[u8]) {
    send(stream, bytes);
}

/// An answer with its length.
pub fn answer(stream: &mut TcpStream, status: &str, headers: &str, body: &[u8]) {
    send(stream, format!("HTTP/1.1 {status}\r\n{headers}Content-Length: {}\r\n\r\n", body.len()).as_bytes());
    send(stream, body);
}

/// Until the client has gone: a server that says nothing more.
pub fn hang(stream: &mut TcpStream) {
    while stream.read(&mut [0; 64]).is_ok_and(|read| read > 0) {}
}

/// One file, with the name of its version.
#[derive(Clone)]
pub struct Served {
    pub content: Vec<u8>,
    pub etag: String,
}

impl Served {
    pub fn new(content: &[u8]) -> Self {
        Self { content: content.to_vec(), etag: format!("\"{}\"", crate::bench::sha256(content)) }
    }

    pub fn answer(&self, asked: &Asked, stream: &mut TcpStream) {
        let (head, body) = self.head(asked);
        send(stream, head.as_bytes());
        send(stream, body);
    }

    /// What a correct server says, and the bytes that follow.
    pub fn head(&self, asked: &Asked) -> (String, &[u8]) {
        let etag = &self.etag;
        if asked.header("if-none-match") == Some(etag) {
            return (format!("HTTP/1.1 304 Not Modified\r\nETag: {etag}\r\n\r\n"), &[]);
        }
        let from = asked.from().filter(|_| asked.header("if-range").is_none_or(|range| range == etag));
        let all = self.content.len();
        match from {
            Some(from) if from >= all => ("HTTP/1.1 416 No\r\nContent-Length: 0\r\n\r\n".to_owned(), &[]),
            Some(from) => {
                let range = format!("Content-Range: bytes {from}-{}/{all}\r\n", all - 1);
                let length = all - from;
                let head =
                    format!("HTTP/1.1 206 Part\r\nETag: {etag}\r\n{range}Content-Length: {length}\r\n\r\n");
                (head, &self.content[from..])
            }
            None => {
                (format!("HTTP/1.1 200 OK\r\nETag: {etag}\r\nContent-Length: {all}\r\n\r\n"), &self.content)
            }
        }
    }
}
