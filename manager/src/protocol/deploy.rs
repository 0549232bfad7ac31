//! `POST /deploy` and what stands beside it on an agent: orders to bytes, and answers to model.
//!
//! An order is checked by the rules that agents check it by: it is written, and read again as an agent reads it.

use cardcage_wire::board as wire;
use serde::Deserialize;
use serde_json::{Map, Value};

use crate::model::text::printable;
use crate::model::{InstanceId, Order, Outcome, Reply, Text};

/// Longest reply to a deploy that is read, in bytes.
pub const REPLY_LIMIT: usize = wire::DEPLOY_LIMIT;

/// Longest message that is kept of a reply, in bytes.
const MESSAGE_LIMIT: usize = 4096;

/// Longest uuid, in bytes.
pub const UUID_LIMIT: usize = wire::NAME_LIMIT;

/// Why an order cannot be sent.
#[derive(Debug, thiserror::Error)]
#[error("the order is not one: {0}")]
pub struct BadOrder(String);

/// Why an answer of an agent says nothing.
#[derive(Debug, thiserror::Error)]
pub enum BadAnswer {
    /// Not a reply to a deploy.
    #[error("the reply does not follow the protocol: {0}")]
    Reply(Text),
    /// A result that this version does not know.
    #[error("the reply has result {0}, which this manager does not know")]
    Result(i64),
    /// It is about something else.
    #[error("the reply is about uuid {0}")]
    OtherUuid(Text),
    /// Not what an agent lists or logs.
    #[error("the answer is not that of an agent: {0}")]
    Other(Text),
}

/// The bytes that start a deployment.
pub fn start(uuid: &str, order: &Order) -> Result<Vec<u8>, BadOrder> {
    let options: Map<String, Value> = serde_json::from_str(&order.options)
        .map_err(|error| BadOrder(format!("options must be a JSON object: {error}")))?;
    let start = wire::DeployStart {
        url: order.url.clone(),
        file: order.file.clone(),
        require: wire::Require { cpu: order.cpu, memory: order.memory, gpu: order.gpu },
        instance_id: order.instance_id.clone(),
        index: order.index,
        name: order.name.clone(),
        options,
    };
    let request = wire::DeployRequest::Start {
        kind: order.kind.clone(),
        uuid: uuid.to_owned(),
        start: Box::new(start),
    };
    checked(request)
}

/// The bytes that stop one.
pub fn stop(kind: &str, uuid: &str, id: &InstanceId) -> Result<Vec<u8>, BadOrder> {
    let id = match id {
        InstanceId::Number(number) => wire::Id::Number(*number),
        InstanceId::Text(text) => wire::Id::Text(text.clone()),
    };
    checked(wire::DeployRequest::Stop { kind: kind.to_owned(), uuid: uuid.to_owned(), id })
}

fn checked(request: wire::DeployRequest) -> Result<Vec<u8>, BadOrder> {
    let bytes = wire::Envelope::new(request).to_bytes();
    match wire::DeployRequest::parse(&bytes) {
        Ok(_) => Ok(bytes),
        Err(error) => Err(BadOrder(error.to_string())),
    }
}

/// Reads the reply to a deploy of this uuid.
pub fn reply(bytes: &[u8], uuid: &str) -> Result<Reply, BadAnswer> {
    let reply =
        wire::DeployReply::parse(bytes).map_err(|error| BadAnswer::Reply(Text::new(error.to_string())))?;
    // An agent that could not read the request has no uuid to repeat.
    if !reply.echo.uuid.is_empty() && reply.echo.uuid != uuid {
        return Err(BadAnswer::OtherUuid(Text::new(reply.echo.uuid)));
    }
    let outcome = wire::Outcome::from_code(reply.result).ok_or(BadAnswer::Result(reply.result))?;
    let mut message = printable(&reply.message).into_owned();
    message.truncate(message.floor_char_boundary(MESSAGE_LIMIT));
    Ok(Reply { outcome: outcome_of(outcome), id: reply.echo.id.and_then(id), message })
}

const fn outcome_of(outcome: wire::Outcome) -> Outcome {
    match outcome {
        wire::Outcome::Done => Outcome::Done,
        wire::Outcome::Invalid => Outcome::Invalid,
        wire::Outcome::UnknownType => Outcome::UnknownType,
        wire::Outcome::Conflict => Outcome::Conflict,
        wire::Outcome::NoRoom => Outcome::NoRoom,
        wire::Outcome::WrongInstance => Outcome::WrongInstance,
        wire::Outcome::Artifact => Outcome::Artifact,
        wire::Outcome::Failed => Outcome::Failed,
        wire::Outcome::Unreachable => Outcome::Unreachable,
        wire::Outcome::UnderWay => Outcome::UnderWay,
        wire::Outcome::Denied => Outcome::Denied,
        wire::Outcome::NoSpace => Outcome::NoSpace,
        wire::Outcome::NotNow => Outcome::NotNow,
    }
}

/// One that could not be sent back is none.
fn id(id: wire::Id) -> Option<InstanceId> {
    match id {
        wire::Id::Number(number) => Some(InstanceId::Number(number)),
        wire::Id::Text(text) => {
            let fits = !text.is_empty() && text.len() <= wire::NAME_LIMIT && !text.contains(char::is_control);
            fits.then_some(InstanceId::Text(text))
        }
    }
}

/// The id of an instance as a report shows it, where there is only text. Numbers of processes are short, and the ids of
/// containers are not.
pub fn reported_id(text: &str) -> Option<InstanceId> {
    const DIGITS: usize = 10;
    let number = (text.len() <= DIGITS && text.bytes().all(|byte| byte.is_ascii_digit()))
        .then(|| text.parse().ok())
        .flatten();
    match number {
        Some(number) => Some(InstanceId::Number(number)),
        None => id(wire::Id::Text(text.to_owned())),
    }
}

/// A deployment, as an agent lists it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listed {
    /// Which backend.
    pub kind: String,
    /// What it is known by, once something runs.
    pub id: Option<InstanceId>,
}

/// Finds a deployment in what an agent answers to `GET /deployments`.
pub fn listed(bytes: &[u8], uuid: &str) -> Result<Option<Listed>, BadAnswer> {
    #[derive(Deserialize)]
    struct Item {
        uuid: String,
        #[serde(rename = "type")]
        kind: String,
        id: Option<wire::Id>,
    }
    let items: Vec<Item> =
        serde_json::from_slice(bytes).map_err(|error| BadAnswer::Other(Text::new(error.to_string())))?;
    let found = items.into_iter().find(|item| item.uuid == uuid);
    Ok(found.map(|item| Listed { kind: item.kind, id: item.id.and_then(id) }))
}

/// A piece of an instance's output.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Log {
    /// As it came.
    pub text: String,
    /// Where to go on.
    pub next: String,
    /// Bytes before it that are gone.
    pub lost: Option<u64>,
}

/// Reads a piece of an instance's output.
pub fn log(bytes: &[u8]) -> Result<Log, BadAnswer> {
    #[derive(Deserialize)]
    struct Piece {
        text: String,
        next: String,
        lost: Option<u64>,
    }
    let Piece { text, next, lost } =
        serde_json::from_slice(bytes).map_err(|error| BadAnswer::Other(Text::new(error.to_string())))?;
    Ok(Log { text, next, lost })
}

/// Why an agent refused, from `{"code": …, "detail": …}`; empty if it does not say.
pub fn detail(bytes: &[u8]) -> String {
    let value: Value = serde_json::from_slice(bytes).unwrap_or_default();
    let detail = value.get("detail").and_then(Value::as_str).unwrap_or_default();
    Text::new(detail.to_owned()).to_string()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;
    use crate::protocol::testing::{any_json, envelope};

    fn order() -> Order {
        Order {
            kind: "bar".into(),
            url: "http://s/".into(),
            file: "f.bar".into(),
            cpu: 2,
            memory: 1 << 20,
            gpu: 0,
            instance_id: Some("i".into()),
            index: Some(3),
            name: None,
            options: "{\"args\":[\"-v\"]}".into(),
        }
    }

    #[test]
    fn an_order_is_written_as_the_document_has_it() {
        let sent: Value = serde_json::from_slice(&start("u", &order()).unwrap()).unwrap();
        let data = json!({"mode": "start", "type": "bar", "uuid": "u", "url": "http://s/", "file": "f.bar",
                          "require": {"cpu": 2, "memory": 1 << 20, "gpu": 0}, "instance_id": "i", "index": 3,
                          "options": {"args": ["-v"]}});
        assert_eq!(sent, json!({"api_version": 1, "data": data}));
        let sent: Value =
            serde_json::from_slice(&stop("bar", "u", &InstanceId::Number(815)).unwrap()).unwrap();
        assert_eq!(sent["data"], json!({"mode": "stop", "type": "bar", "uuid": "u", "id": 815}));
    }

    #[test]
    fn an_order_that_agents_refuse_is_not_sent() {
        let refused = |order: Order| start("u", &order).unwrap_err().to_string();
        assert!(refused(Order { url: String::new(), ..order() }).contains("url is empty"));
        assert!(refused(Order { options: "[]".into(), ..order() }).contains("options must be"));
        assert!(start("", &order()).is_err() && start(&"u".repeat(257), &order()).is_err());
    }

    #[test]
    fn a_reply_is_read_and_one_about_something_else_is_not() {
        let body = |uuid: &str, id: Value, result: i64| {
            envelope(
                json!({"mode": "start", "uuid": uuid, "id": id, "result": result, "message": "a\u{1b}b"}),
            )
        };
        let done = reply(&body("u", json!(815), 0), "u").unwrap();
        assert_eq!((done.outcome, done.id), (Outcome::Done, Some(InstanceId::Number(815))));
        assert_eq!(done.message, "a\u{FFFD}b");
        let refused = reply(&body("u", json!(""), 4), "u").unwrap();
        assert_eq!((refused.outcome, refused.id), (Outcome::NoRoom, None));
        assert!(matches!(reply(&body("v", json!(1), 0), "u"), Err(BadAnswer::OtherUuid(_))));
        assert!(matches!(reply(&body("u", json!(1), 99), "u"), Err(BadAnswer::Result(99))));
    }

    #[test]
    fn every_result_of_the_document_keeps_its_number() {
        for outcome in wire::Outcome::ALL {
            assert_eq!(outcome_of(outcome).code(), Some(outcome.code()));
        }
    }

    #[test]
    fn the_ids_of_reports_are_told_apart() {
        assert_eq!(reported_id("815"), Some(InstanceId::Number(815)));
        assert_eq!(reported_id("123456789012"), Some(InstanceId::Text("123456789012".into())));
        assert_eq!(reported_id(""), None);
    }

    proptest! {
        #[test]
        fn arbitrary_answers_do_not_panic(value in any_json(), bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            for bytes in [bytes, envelope(value.clone()), value.to_string().into_bytes()] {
                let _ = (reply(&bytes, "u"), listed(&bytes, "u"), log(&bytes), detail(&bytes));
            }
        }
    }
}
