//! An agent that deploys nothing and says so as the real one does: `POST /deploy`, `GET /deployments`, logs, over real
//! sockets, with TLS if it is told to. It can also be slow, wrong and hostile.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::thread;
use std::time::Duration;

use serde_json::{Value, json};
use tokio_rustls::rustls::{ServerConfig, ServerConnection, StreamOwned};

use crate::support::{Manager, ours};

/// What the agent does with a deploy.
#[derive(Debug, Clone, Default, PartialEq)]
pub enum Manners {
    /// What it should.
    #[default]
    Good,
    /// Carries it out, and breaks off before it answers.
    LosesReplies,
    /// Never answers.
    Silent,
    /// This answer, whatever is asked: a status line with headers, and a body.
    Says(String, String),
    /// More than anybody reads.
    Endless,
    /// This result, and nothing is done.
    Refuses(i64),
}

#[derive(Debug, Clone)]
pub struct Instance {
    pub kind: String,
    pub order: Value,
    pub id: Value,
    pub state: String,
    pub log: String,
}

#[derive(Default)]
pub struct State {
    pub instances: BTreeMap<String, Instance>,
    pub manners: Manners,
    /// Every deploy that came.
    pub deploys: Vec<Value>,
    pub token: Option<String>,
    /// An agent that speaks v1.1 alone has no list and no logs.
    pub is_plain: bool,
    ids: u64,
    /// Deploys that are being answered now, and the most there were for one uuid.
    now: BTreeMap<String, usize>,
    pub most_for_one: usize,
    /// No deploy is answered while this is set.
    pub held: bool,
}

pub struct FakeAgent {
    pub id: String,
    pub host_ip: &'static str,
    pub port: u16,
    shared: Arc<Shared>,
}

struct Shared {
    state: Mutex<State>,
    changed: Condvar,
}

impl FakeAgent {
    pub fn start() -> Self {
        Self::start_at("127.0.0.1")
    }

    /// One of those that do not share an address.
    pub fn start_at(host_ip: &'static str) -> Self {
        Self::serve(host_ip, None)
    }

    pub fn start_tls(config: ServerConfig) -> Self {
        Self::serve("127.0.0.1", Some(Arc::new(config)))
    }

    fn serve(host_ip: &'static str, tls: Option<Arc<ServerConfig>>) -> Self {
        let listener = TcpListener::bind((host_ip, 0)).unwrap();
        let port = listener.local_addr().unwrap().port();
        let shared = Arc::new(Shared { state: Mutex::default(), changed: Condvar::new() });
        let served = Arc::clone(&shared);
        thread::spawn(move || {
            for stream in listener.incoming() {
                let (Ok(stream), served, tls) = (stream, Arc::clone(&served), tls.clone()) else { return };
                stream.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
                thread::spawn(move || match tls {
                    None => served.connection(stream),
                    Some(tls) => {
                        served.connection(StreamOwned::new(ServerConnection::new(tls).unwrap(), stream))
                    }
                });
            }
        });
        Self { id: uuid::Uuid::new_v4().to_string(), host_ip, port, shared }
    }

    pub fn state(&self) -> MutexGuard<'_, State> {
        self.shared.state.lock().unwrap()
    }

    pub fn manners(&self, manners: Manners) {
        self.state().manners = manners;
    }

    pub fn hold(&self, held: bool) {
        self.state().held = held;
        self.shared.changed.notify_all();
    }

    /// Its board is known to this manager.
    pub fn meet(&self, manager: &Manager, slot_id: i32) {
        manager.report("/heartbeat", &self.heartbeat(&self.id, slot_id));
    }

    /// What it would say as the agent of this id.
    pub fn heartbeat(&self, id: &str, slot_id: i32) -> Value {
        let mut heartbeat = ours(id, slot_id, self.host_ip);
        heartbeat["service_port"] = json!(self.port);
        heartbeat
    }

    /// It reports what it has.
    pub fn report(&self, manager: &Manager) {
        let state = self.state();
        let component = |(uuid, instance): (&String, &Instance)| {
            json!({"instance_id": "i", "uuid": uuid, "index": 0,
                   "config": {"name": format!("name-{uuid}"), "id": text(&instance.id)}, "state": instance.state,
                   "resource": {"cpu": {"load": 7.5}, "memory": {"mem_used": 4096, "mem_limit": 8192}, "network": {}}})
        };
        let more = |(uuid, instance): (&String, &Instance)| json!({"uuid": uuid, "type": instance.kind, "order": "ab12", "cores": [1], "cpu_load": 7.5, "memory_used": 4096});
        let components: Vec<_> = state.instances.iter().map(component).collect();
        let deployments: Vec<_> = state.instances.iter().map(more).collect();
        let report = json!({"host_ip": self.host_ip, "resource": {"cpu": {}, "memory": {}}, "component": components,
                            "cardcage": {"agent_id": self.id, "readings": {}, "deployments": deployments}});
        drop(state);
        manager.report("/resource", &report);
    }

    /// Something that this manager did not start.
    pub fn runs(&self, uuid: &str, kind: &str, id: Value) {
        let instance =
            Instance { kind: kind.into(), order: json!({}), id, state: "RUNNING".into(), log: String::new() };
        self.state().instances.insert(uuid.into(), instance);
    }
}

fn text(id: &Value) -> String {
    id.as_str().map_or_else(|| id.to_string(), str::to_owned)
}

impl Shared {
    fn connection(&self, stream: impl Read + Write) {
        let mut reader = BufReader::new(stream);
        // Whoever breaks off in the middle is not answered.
        let Some((head, body)) = request(&mut reader) else { return };
        let mut words = head.lines().next().unwrap().split(' ');
        let (method, path) = (words.next().unwrap().to_owned(), words.next().unwrap().to_owned());
        let Some(answer) = self.answer(&method, &path, &head, &body) else { return };
        let stream = reader.get_mut();
        let _ = stream.write_all(answer.as_bytes()).and_then(|()| stream.flush());
        if self.state.lock().unwrap().manners == Manners::Endless {
            while stream.write_all(&[b'x'; 4096]).is_ok() {}
        }
    }

    fn answer(&self, method: &str, path: &str, head: &str, body: &[u8]) -> Option<String> {
        let state = self.state.lock().unwrap();
        if let Some(token) = &state.token
            && !head.to_lowercase().contains(&format!("authorization: bearer {token}\r\n"))
        {
            return Some(http("403 Forbidden", &json!({"code": "token", "detail": "that is not the token"})));
        }
        match (method, path.split('?').next().unwrap()) {
            ("POST", "/deploy") => {
                drop(state);
                self.deploy(&serde_json::from_slice(body).unwrap())
            }
            ("GET", "/deployments") if !state.is_plain => {
                let item = |(uuid, it): (&String, &Instance)| {
                    json!({"uuid": uuid, "type": it.kind, "instance_id": "", "index": 0, "name": "", "id": it.id,
                           "state": it.state, "unknown": false, "order": "ab12", "url": "u", "file": "f",
                           "require": {"cpu": 1, "memory": 0, "gpu": 0}, "cores": [], "shared": false, "memory": 0,
                           "gpus": [], "ids": [it.id]})
                };
                Some(http("200 OK", &state.instances.iter().map(item).collect()))
            }
            ("GET", log) if !state.is_plain && log.ends_with("/log") => {
                let uuid = log.trim_start_matches("/deployments/").trim_end_matches("/log");
                Some(match state.instances.get(uuid) {
                    Some(instance) => http("200 OK", &piece(instance, path)),
                    None => http("404 Not Found", &json!({"code": "absent", "detail": "there is none"})),
                })
            }
            _ => Some(http("404 Not Found", &json!({"code": "path", "detail": "there is nothing"}))),
        }
    }

    fn deploy(&self, envelope: &Value) -> Option<String> {
        let data = envelope["data"].clone();
        let uuid = data["uuid"].as_str().unwrap().to_owned();
        let mut state = self.state.lock().unwrap();
        state.deploys.push(data.clone());
        let now = state.now.entry(uuid.clone()).or_insert(0);
        *now += 1;
        let now = *now;
        state.most_for_one = state.most_for_one.max(now);
        while state.held {
            state = self.changed.wait(state).unwrap();
        }
        *state.now.get_mut(&uuid).unwrap() -= 1;
        let answer = match state.manners.clone() {
            Manners::Silent => {
                drop(state);
                thread::sleep(Duration::from_secs(60));
                return None;
            }
            Manners::Says(head, body) => {
                return Some(format!("HTTP/1.1 {head}\r\nConnection: close\r\n\r\n{body}"));
            }
            Manners::Endless => return Some("HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n".into()),
            Manners::Refuses(result) => (data["id"].clone(), result),
            Manners::Good | Manners::LosesReplies => state.carry_out(&uuid, &data),
        };
        if state.manners == Manners::LosesReplies {
            return None;
        }
        let mut reply = data;
        (reply["id"], reply["result"]) = (answer.0, json!(answer.1));
        reply["message"] = json!(format!("result {}", answer.1));
        Some(http("200 OK", &json!({"api_version": 1, "data": reply})))
    }
}

impl State {
    fn carry_out(&mut self, uuid: &str, data: &Value) -> (Value, i64) {
        if data["mode"] == "stop" {
            return match self.instances.get_mut(uuid) {
                Some(instance) if instance.id == data["id"] || data["id"] == uuid => {
                    instance.state = "STOPPED".into();
                    (data["id"].clone(), 0)
                }
                _ => (data["id"].clone(), 5),
            };
        }
        self.ids += 1;
        let fresh = if data["type"] == "bar" { json!(self.ids) } else { json!(format!("c{:063}", self.ids)) };
        match self.instances.get_mut(uuid) {
            Some(known) if known.state != "STOPPED" && known.order != *data => (json!(""), 3),
            Some(known) if known.state == "RUNNING" => (known.id.clone(), 0),
            _ => {
                let kind = data["type"].as_str().unwrap().to_owned();
                let instance = Instance {
                    kind,
                    order: data.clone(),
                    id: fresh.clone(),
                    state: "RUNNING".into(),
                    log: String::new(),
                };
                self.instances.insert(uuid.into(), instance);
                (fresh, 0)
            }
        }
    }
}

fn piece(instance: &Instance, path: &str) -> Value {
    let value = |key: &str| {
        let query = path.split_once('?')?.1;
        query.split('&').find_map(|part| part.strip_prefix(key)?.strip_prefix('=')?.parse::<usize>().ok())
    };
    let log = &instance.log;
    let start = match (value("after"), value("tail")) {
        (Some(after), _) => after,
        (None, Some(tail)) => log.len().saturating_sub(tail),
        (None, None) => 0,
    };
    let end = log.len().min(start + value("limit").unwrap_or(1 << 20));
    json!({"text": log[start..end], "next": end.to_string()})
}

fn http(status: &str, body: &Value) -> String {
    let body = body.to_string();
    format!(
        "HTTP/1.1 {status}\r\nContent-Type: application/json\r\nConnection: close\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    )
}

fn request(reader: &mut impl BufRead) -> Option<(String, Vec<u8>)> {
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        if reader.read_line(&mut head).ok()? == 0 {
            return None;
        }
    }
    let length = head.to_lowercase();
    let length =
        length.lines().find_map(|line| line.strip_prefix("content-length: ")?.parse().ok()).unwrap_or(0);
    let mut body = vec![0; length];
    reader.read_exact(&mut body).ok()?;
    Some((head, body))
}

/// A connection that is open to see whether somebody listens there, for the address of an agent that is gone.
pub fn dead_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    drop(listener);
    assert!(TcpStream::connect(("127.0.0.1", port)).is_err());
    port
}
