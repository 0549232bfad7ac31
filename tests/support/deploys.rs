//! A manager's side of deploys, as third parties write it: JSON over HTTP, nothing of the product.

use std::time::Duration;

use serde_json::{Value, json};

use crate::agent::Agent;
use crate::http::{Answer, get, post_within};
use crate::patience::until;

/// The agent replies within five minutes; no test waits for so long.
const REPLY: Duration = Duration::from_secs(60);

/// A request to start something.
#[derive(Debug, Clone)]
pub struct Order {
    data: Value,
}

impl Order {
    /// Of a backend, for a uuid, of a file in a repository. One core and little memory.
    pub fn new(kind: &str, uuid: &str, url: &str, file: &str) -> Self {
        let require = json!({"cpu": 1, "memory": 32 << 20, "gpu": 0});
        Self {
            data: json!({"mode": "start", "type": kind, "uuid": uuid, "url": url, "file": file, "require": require}),
        }
    }

    /// Changes a field of `data`.
    pub fn with(mut self, field: &str, value: impl Into<Value>) -> Self {
        self.data[field] = value.into();
        self
    }

    /// Leaves a field out.
    #[track_caller]
    pub fn without(mut self, field: &str) -> Self {
        assert!(self.data.as_object_mut().unwrap().remove(field).is_some());
        self
    }

    /// Cores, and memory in MiB.
    pub fn require(self, cpu: u32, mebibytes: u64) -> Self {
        self.with("require", json!({"cpu": cpu, "memory": mebibytes << 20, "gpu": 0}))
    }

    pub fn option(mut self, key: &str, value: impl Into<Value>) -> Self {
        self.data["options"][key] = value.into();
        self
    }

    pub fn uuid(&self) -> &str {
        self.data["uuid"].as_str().unwrap()
    }

    pub fn kind(&self) -> &str {
        self.data["type"].as_str().unwrap()
    }

    pub fn data(&self) -> &Value {
        &self.data
    }

    /// The body.
    pub fn body(&self) -> Value {
        json!({"api_version": 1, "data": self.data})
    }

    /// The body of the request that stops it.
    pub fn stop(&self, id: &Value) -> Value {
        stop(self.kind(), self.uuid(), id)
    }
}

/// The body of a request to stop.
pub fn stop(kind: &str, uuid: &str, id: &Value) -> Value {
    json!({"api_version": 1, "data": {"mode": "stop", "type": kind, "uuid": uuid, "id": id}})
}

/// A reply.
#[derive(Debug, Clone)]
pub struct Reply {
    pub status: u16,
    pub result: i64,
    pub message: String,
    pub id: Value,
    /// All of `data`.
    pub data: Value,
}

impl Reply {
    #[track_caller]
    pub fn of(answer: &Answer) -> Self {
        let data = answer.json()["data"].clone();
        let result = data["result"].as_i64().unwrap_or_else(|| panic!("no result in {answer:?}"));
        let message = data["message"].as_str().unwrap_or_default().to_owned();
        Self { status: answer.status, result, message, id: data["id"].clone(), data }
    }

    /// It succeeded.
    #[track_caller]
    pub fn done(self) -> Self {
        assert_eq!((self.status, self.result), (200, 0), "{self:?}");
        self
    }

    /// It was refused with this result, in these words.
    #[track_caller]
    pub fn refused(self, result: i64, words: &[&str]) -> Self {
        assert_eq!(self.result, result, "{self:?}");
        for word in words {
            assert!(self.message.contains(word), "no {word:?} in {:?}", self.message);
        }
        self
    }
}

impl Agent {
    /// Posts a body to `/deploy`.
    #[track_caller]
    pub fn deploy(&self, body: &Value) -> Reply {
        Reply::of(&self.try_deploy(body).unwrap())
    }

    /// The same, of an agent that may be killed meanwhile.
    pub fn try_deploy(&self, body: &Value) -> Result<Answer, ureq::Error> {
        post_within(REPLY, self.service(), "/deploy", body.to_string().as_bytes())
    }

    /// Orders a start, and waits for the reply.
    #[track_caller]
    pub fn order(&self, order: &Order) -> Reply {
        self.deploy(&order.body())
    }

    /// `GET /deployments`.
    #[track_caller]
    pub fn deployments(&self) -> Vec<Value> {
        self.get("/deployments").json().as_array().unwrap().clone()
    }

    /// One of them, if the agent answers and has it.
    pub fn deployment(&self, uuid: &str) -> Option<Value> {
        let answer = get(self.service(), "/deployments").ok()?;
        let all: Vec<Value> = serde_json::from_str(&answer.body).ok()?;
        all.into_iter().find(|one| one["uuid"] == uuid)
    }

    /// Waits until a deployment is as is wanted; returns it.
    #[track_caller]
    pub fn until_deployment(&self, uuid: &str, what: &str, wanted: impl Fn(&Value) -> bool) -> Value {
        until(&format!("{uuid} is {what}"), || self.deployment(uuid).filter(&wanted))
    }

    /// Waits until a deployment is in a state, and that is known; returns it.
    #[track_caller]
    pub fn until_state(&self, uuid: &str, state: &str) -> Value {
        self.until_deployment(uuid, state, |one| one["state"] == state && one["unknown"] == false)
    }

    /// What a deployment wrote, from a cursor on.
    #[track_caller]
    pub fn log(&self, uuid: &str, query: &str) -> Answer {
        self.get(&format!("/deployments/{uuid}/log?{query}"))
    }
}
