//! `POST /deploy`: the request becomes an order, what became of it the reply.

pub use cardcage_wire::board::DEPLOY_LIMIT as LIMIT;
use cardcage_wire::board::{
    BadDeploy, DeployReply, DeployRequest, DeployStart, Echo, Envelope, Id as WireId, Outcome as WireOutcome,
    Require,
};
use serde_json::Value;

use crate::deploy::{Id, LEAST_MEMORY, Order, Outcome, Reply, Requirements};

/// What a request asks.
#[derive(Debug)]
pub enum Command {
    Start(Order),
    Stop { kind: String, uuid: String, id: Id },
}

/// What a reply repeats of its request.
#[derive(Debug)]
pub struct Asked(Echo);

/// A body that is answered without being followed.
#[derive(Debug)]
pub struct Refused {
    /// Whether it is not the protocol at all.
    pub malformed: bool,
    pub body: Vec<u8>,
}

/// Reads a request.
pub fn read(body: &[u8]) -> Result<(Asked, Command), Refused> {
    let request = DeployRequest::parse(body).map_err(|error| {
        let malformed = !matches!(error, BadDeploy::Field { .. });
        let message = error.to_string();
        let echo = match error {
            BadDeploy::Field { echo, .. } => *echo,
            _ => Echo::default(),
        };
        refused(malformed, echo, message)
    })?;
    let echo = request.echo();
    match request {
        DeployRequest::Stop { kind, uuid, id } => {
            Ok((Asked(echo), Command::Stop { kind, uuid, id: from_wire(id) }))
        }
        DeployRequest::Start { kind, uuid, start } => match order(kind, uuid, *start) {
            Ok(order) => Ok((Asked(echo), Command::Start(order))),
            Err(message) => Err(refused(false, echo, message)),
        },
    }
}

/// A request that is too long, too slow, or breaks off.
pub fn unread(message: &str) -> Vec<u8> {
    refused(true, Echo::default(), message.to_owned()).body
}

fn refused(malformed: bool, echo: Echo, message: String) -> Refused {
    let reply = DeployReply { echo, result: WireOutcome::Invalid.code(), message };
    Refused { malformed, body: Envelope::new(reply).to_bytes() }
}

/// The bytes of the reply.
pub fn reply(asked: Asked, reply: Reply) -> Vec<u8> {
    let Asked(mut echo) = asked;
    if let Some(id) = reply.id {
        echo.id = Some(into_wire(&id));
    }
    let reply = DeployReply { echo, result: outcome(reply.outcome).code(), message: reply.message };
    Envelope::new(reply).to_bytes()
}

fn order(kind: String, uuid: String, start: DeployStart) -> Result<Order, String> {
    let DeployStart { url, file, require, instance_id, index, name, options } = start;
    let shared = match options.get("cpu") {
        None => false,
        Some(Value::String(cpu)) if cpu == "exclusive" => false,
        Some(Value::String(cpu)) if cpu == "shared" => true,
        Some(other) => {
            return Err(format!(
                "options.cpu is {other}; it must be \"exclusive\" (the default) or \"shared\""
            ));
        }
    };
    Ok(Order {
        name: name.unwrap_or_else(|| uuid.clone()),
        uuid,
        kind,
        instance_id: instance_id.unwrap_or_default(),
        index: index.unwrap_or(0),
        url,
        file,
        // Its keys are sorted, so equal options are equal texts.
        options: Value::Object(options).to_string(),
        requirements: requirements(require, shared)?,
    })
}

fn requirements(require: Require, shared: bool) -> Result<Requirements, String> {
    let Require { cpu, memory, gpu } = require;
    let cores = u32::try_from(cpu).ok().filter(|cores| (1..=65_536).contains(cores));
    let cores = cores.ok_or_else(|| {
        format!("require.cpu is {cpu}; it must be at least 1, and no more than the board has")
    })?;
    let gpus = u32::try_from(gpu).ok().filter(|gpus| *gpus <= 65_536);
    let gpus = gpus.ok_or_else(|| {
        format!("require.gpu is {gpu}; it must be at least 0, and no more than the board has")
    })?;
    if memory < LEAST_MEMORY {
        return Err(format!(
            "require.memory is {memory}; it must be at least {LEAST_MEMORY} bytes, because nothing runs in less"
        ));
    }
    Ok(Requirements { cores, shared, memory, gpus })
}

fn from_wire(id: WireId) -> Id {
    match id {
        WireId::Number(number) => Id::Number(number),
        WireId::Text(text) => Id::Text(text),
    }
}

fn into_wire(id: &Id) -> WireId {
    match id {
        Id::Number(number) => WireId::Number(*number),
        Id::Text(text) => WireId::Text(text.clone()),
    }
}

const fn outcome(outcome: Outcome) -> WireOutcome {
    match outcome {
        Outcome::Done => WireOutcome::Done,
        Outcome::Invalid => WireOutcome::Invalid,
        Outcome::UnknownType => WireOutcome::UnknownType,
        Outcome::Conflict => WireOutcome::Conflict,
        Outcome::NoRoom => WireOutcome::NoRoom,
        Outcome::WrongInstance => WireOutcome::WrongInstance,
        Outcome::Artifact => WireOutcome::Artifact,
        Outcome::Failed => WireOutcome::Failed,
        Outcome::Unreachable => WireOutcome::Unreachable,
        Outcome::UnderWay => WireOutcome::UnderWay,
        Outcome::Denied => WireOutcome::Denied,
        Outcome::NoSpace => WireOutcome::NoSpace,
        Outcome::NotNow => WireOutcome::NotNow,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ask(change: impl FnOnce(&mut Value)) -> Result<Order, String> {
        let mut request = serde_json::json!({"api_version": 1, "data": {
            "mode": "start", "type": "docker", "uuid": "u", "url": "http://repo", "file": "app.tar",
            "require": {"cpu": 1, "memory": 67_108_864, "gpu": 0}, "options": {"b": 1, "a": 2}}});
        change(&mut request["data"]);
        match read(request.to_string().as_bytes()) {
            Ok((_, Command::Start(order))) => Ok(order),
            Ok(_) => panic!("a stop"),
            Err(refused) => {
                assert!(!refused.malformed);
                let reply = DeployReply::parse(&refused.body).unwrap();
                assert_eq!((reply.result, reply.echo.uuid.as_str()), (1, "u"));
                Err(reply.message)
            }
        }
    }

    #[test]
    fn what_is_not_said_has_its_default() {
        let order = ask(|_| {}).unwrap();
        assert_eq!((order.name.as_str(), order.instance_id.as_str(), order.index), ("u", "", 0));
        assert_eq!(order.options, r#"{"a":2,"b":1}"#);
        let same = ask(|data| data["options"] = serde_json::json!({"a": 2, "b": 1})).unwrap();
        assert_eq!(order.digest(), same.digest());
        assert_ne!(order.digest(), ask(|data| data["file"] = "b".into()).unwrap().digest());
    }

    #[test]
    fn requirements_that_make_no_sense_are_refused_with_the_rule() {
        for (field, value, rule) in [
            ("cpu", 0, "at least 1"),
            ("cpu", -1, "at least 1"),
            ("memory", 0, "at least 6291456"),
            ("gpu", -1, "at least 0"),
        ] {
            let refusal = ask(|data| data["require"][field] = value.into()).unwrap_err();
            assert!(
                refusal.starts_with(&format!("require.{field} is {value}; it must be {rule}")),
                "{refusal}"
            );
        }
        assert!(ask(|data| data["require"]["cpu"] = 9_999_999_i64.into()).is_err());
        assert!(ask(|data| data["options"]["cpu"] = "all".into()).unwrap_err().contains("options.cpu"));
        assert!(ask(|data| data["options"]["cpu"] = "shared".into()).unwrap().requirements.shared);
    }

    #[test]
    fn what_is_not_the_protocol_is_answered_in_its_shape() {
        let refused = read(b"GET me something").unwrap_err();
        assert!(refused.malformed);
        assert_eq!(DeployReply::parse(&refused.body).unwrap().result, 1);
    }

    #[test]
    fn a_reply_repeats_the_request_and_fills_in_the_id() {
        let stop = br#"{"api_version":1,"data":{"mode":"stop","type":"bar","uuid":"u","id":7}}"#;
        let (asked, _) = read(stop).unwrap();
        let done = Reply { outcome: Outcome::Done, message: "stopped".into(), id: Some(Id::Number(8)) };
        let read = DeployReply::parse(&reply(asked, done)).unwrap();
        assert_eq!(
            (read.result, read.echo.mode.as_str(), read.echo.id),
            (0, "stop", Some(WireId::Number(8)))
        );
    }
}
