//! `POST /deploy` (section "加载命令"): a manager starts or stops one component instance on a board.
//!
//! The document has one request for both modes, and one reply that repeats the request with an id, a result and a
//! message. `instance_id`, `index`, `name` and `options` are ours and optional: the document reports the first three and
//! has no source for them.

use serde::ser::SerializeStruct as _;
use serde::{Deserialize, Serialize, Serializer};
use serde_json::{Map, Value};

use super::API_VERSION;

/// Longest request that is looked at, in bytes.
pub const DEPLOY_LIMIT: usize = 256 << 10;

/// Longest `options`, in bytes, as they are written again.
pub const OPTIONS_LIMIT: usize = 64 << 10;

/// Longest `uuid`, `name`, `instance_id`, `type`, in bytes.
pub const NAME_LIMIT: usize = 256;

/// Longest `url` and `file`, in bytes.
pub const ADDRESS_LIMIT: usize = 4096;

/// How a deploy ended: the table of `result`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Outcome {
    /// 0: it is done, or was done already.
    Done,
    /// 1: the request is malformed, a field is missing, or a value makes no sense. Nothing was done.
    Invalid,
    /// 2: no backend of this agent serves this `type`. The message lists those that it has.
    UnknownType,
    /// 3: this `uuid` is deployed with other contents, or another request for it is under way.
    Conflict,
    /// 4: the board has not got what is required. The message says what was asked, what is free and who holds the rest.
    NoRoom,
    /// 5: the `id` is not that of this `uuid`, or there is no such deployment. Nothing was stopped.
    WrongInstance,
    /// 6: the software cannot be had: not there, not reachable, broken, or not what was announced.
    Artifact,
    /// 7: it was tried, and the instance did not start, or did not stop.
    Failed,
    /// 8: who runs the instances does not answer, so nothing is known. The agent goes on trying.
    Unreachable,
    /// 9: still under way when the time for a reply was over. The agent goes on; the same request again joins it.
    UnderWay,
    /// 10: the operator has not granted what was asked. The message says what to grant.
    Denied,
    /// 11: the board's disk is full.
    NoSpace,
    /// 12: the agent cannot deploy now: it is stopping, or runs against a recorded board.
    NotNow,
}

impl Outcome {
    /// Every one, in the order of the numbers.
    pub const ALL: [Self; 13] = [
        Self::Done,
        Self::Invalid,
        Self::UnknownType,
        Self::Conflict,
        Self::NoRoom,
        Self::WrongInstance,
        Self::Artifact,
        Self::Failed,
        Self::Unreachable,
        Self::UnderWay,
        Self::Denied,
        Self::NoSpace,
        Self::NotNow,
    ];

    /// The number on the wire.
    pub const fn code(self) -> i64 {
        self as i64
    }

    /// What a number means; none for one that this version does not know.
    pub fn from_code(code: i64) -> Option<Self> {
        Self::ALL.into_iter().find(|outcome| outcome.code() == code)
    }
}

/// What a deployed instance is known by: a container's id, a process's number.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Id {
    /// Such as a process id.
    Number(u64),
    /// Such as a container's id.
    Text(String),
}

impl std::fmt::Display for Id {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Number(number) => number.fmt(formatter),
            Self::Text(text) => text.fmt(formatter),
        }
    }
}

/// What is asked for (`mode`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Mode {
    /// Bring it to run.
    Start,
    /// End it.
    Stop,
}

/// What an instance needs (`require`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Require {
    /// Cores (需要的cpu核数).
    pub cpu: i64,
    /// Bytes (需要的内存大小).
    pub memory: u64,
    /// Accelerators (需要的gpu个数).
    pub gpu: i64,
}

/// What to start.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct DeployStart {
    /// Where the software is (软件仓库地址).
    pub url: String,
    /// What it is called there (软件名称).
    pub file: String,
    /// What it needs.
    pub require: Require,
    /// The business instance; ours.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub instance_id: Option<String>,
    /// Its number within the business instance; ours.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub index: Option<i32>,
    /// What it is to be called; ours.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// What only its backend understands; ours.
    #[serde(skip_serializing_if = "Map::is_empty")]
    pub options: Map<String, Value>,
}

/// The request, checked as far as that goes without knowing the board.
#[derive(Debug, Clone, PartialEq)]
pub enum DeployRequest {
    /// `mode` is `start`.
    Start {
        /// Which backend (`type`).
        kind: String,
        /// The component instance.
        uuid: String,
        /// What and with what.
        start: Box<DeployStart>,
    },
    /// `mode` is `stop`.
    Stop {
        /// Which backend (`type`).
        kind: String,
        /// The component instance.
        uuid: String,
        /// As the reply to the start had it.
        id: Id,
    },
}

/// Why a request is not one.
#[derive(Debug, thiserror::Error)]
pub enum BadDeploy {
    /// Longer than [`DEPLOY_LIMIT`].
    #[error("the request has more than {DEPLOY_LIMIT} bytes")]
    Oversized,
    /// Not JSON.
    #[error("the request is not JSON: {0}")]
    Malformed(serde_json::Error),
    /// JSON, but not `{"api_version": 1, "data": {…}}`.
    #[error("the request is not {{\"api_version\": {API_VERSION}, \"data\": {{…}}}}")]
    NoEnvelope,
    /// A field that is missing or makes no sense. What could be read is repeated in the reply.
    #[error("{field} {problem}")]
    Field {
        /// Its name, with that of the object that it is in.
        field: &'static str,
        /// What is wrong, and what would be right.
        problem: String,
        /// The rest of the request.
        echo: Box<Echo>,
    },
}

/// What a reply repeats of a request, as it was sent.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Echo {
    /// `mode`.
    pub mode: String,
    /// `type`.
    pub kind: String,
    /// `uuid`.
    pub uuid: String,
    /// `id`.
    pub id: Option<Id>,
    /// `url`.
    pub url: String,
    /// `file`.
    pub file: String,
    /// `require`.
    pub require: Option<Require>,
}

/// The reply.
#[derive(Debug, Clone, PartialEq)]
pub struct DeployReply {
    /// The request.
    pub echo: Echo,
    /// How it ended.
    pub result: i64,
    /// For people.
    pub message: String,
}

impl DeployRequest {
    /// Reads a request.
    pub fn parse(bytes: &[u8]) -> Result<Self, BadDeploy> {
        if bytes.len() > DEPLOY_LIMIT {
            return Err(BadDeploy::Oversized);
        }
        let value: Value = serde_json::from_slice(bytes).map_err(BadDeploy::Malformed)?;
        let version = value.get("api_version").and_then(whole);
        let (Some(data), true) = (value.get("data").and_then(Value::as_object), version == Some(1)) else {
            return Err(BadDeploy::NoEnvelope);
        };
        let echo = echo(data);
        request(data).map_err(|(field, problem)| BadDeploy::Field { field, problem, echo: Box::new(echo) })
    }

    /// What a reply repeats.
    pub fn echo(&self) -> Echo {
        match self {
            Self::Start { kind, uuid, start } => Echo {
                mode: "start".to_owned(),
                kind: kind.clone(),
                uuid: uuid.clone(),
                id: None,
                url: start.url.clone(),
                file: start.file.clone(),
                require: Some(start.require),
            },
            Self::Stop { kind, uuid, id } => Echo {
                mode: "stop".to_owned(),
                kind: kind.clone(),
                uuid: uuid.clone(),
                id: Some(id.clone()),
                ..Echo::default()
            },
        }
    }
}

impl Serialize for DeployRequest {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        #[derive(Serialize)]
        struct Flat<'a> {
            mode: Mode,
            #[serde(rename = "type")]
            kind: &'a str,
            uuid: &'a str,
            #[serde(skip_serializing_if = "Option::is_none")]
            id: Option<&'a Id>,
            #[serde(flatten)]
            start: Option<&'a DeployStart>,
        }
        match self {
            Self::Start { kind, uuid, start } => {
                Flat { mode: Mode::Start, kind, uuid, id: None, start: Some(start) }
            }
            Self::Stop { kind, uuid, id } => Flat { mode: Mode::Stop, kind, uuid, id: Some(id), start: None },
        }
        .serialize(serializer)
    }
}

impl Serialize for DeployReply {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Self { echo, result, message } = self;
        let nothing = Id::Text(String::new());
        let mut reply = serializer.serialize_struct("DeployReply", 9)?;
        reply.serialize_field("mode", &echo.mode)?;
        reply.serialize_field("type", &echo.kind)?;
        reply.serialize_field("uuid", &echo.uuid)?;
        reply.serialize_field("id", echo.id.as_ref().unwrap_or(&nothing))?;
        reply.serialize_field("url", &echo.url)?;
        reply.serialize_field("file", &echo.file)?;
        reply.serialize_field("require", &echo.require.unwrap_or(Require { cpu: 0, memory: 0, gpu: 0 }))?;
        reply.serialize_field("result", result)?;
        reply.serialize_field("message", message)?;
        reply.end()
    }
}

impl DeployReply {
    /// Reads a reply, as a manager gets it.
    pub fn parse(bytes: &[u8]) -> Result<Self, BadDeploy> {
        if bytes.len() > DEPLOY_LIMIT {
            return Err(BadDeploy::Oversized);
        }
        let value: Value = serde_json::from_slice(bytes).map_err(BadDeploy::Malformed)?;
        let data = value.get("data").and_then(Value::as_object).ok_or(BadDeploy::NoEnvelope)?;
        let result = data.get("result").and_then(whole).and_then(|result| i64::try_from(result).ok());
        let mut echo = echo(data);
        echo.id = echo.id.filter(|id| *id != Id::Text(String::new()));
        match result {
            Some(result) => Ok(Self { message: text(data, "message"), result, echo }),
            None => Err(BadDeploy::Field {
                field: "result",
                problem: "is missing, or no whole number".to_owned(),
                echo: Box::new(echo),
            }),
        }
    }
}

/// Which field, and what is wrong with it.
type Wrong = (&'static str, String);

fn request(data: &Map<String, Value>) -> Result<DeployRequest, Wrong> {
    let mode = required_text(data, "mode", NAME_LIMIT)?;
    let kind = required_text(data, "type", NAME_LIMIT)?;
    let uuid = required_text(data, "uuid", NAME_LIMIT)?;
    match mode.as_str() {
        "start" => Ok(DeployRequest::Start { kind, uuid, start: Box::new(start(data)?) }),
        "stop" => Ok(DeployRequest::Stop { kind, uuid, id: id(data)? }),
        _ => Err(("mode", format!("is {mode:?}; it must be \"start\" or \"stop\""))),
    }
}

fn start(data: &Map<String, Value>) -> Result<DeployStart, Wrong> {
    let require = match data.get("require") {
        Some(Value::Object(require)) => require,
        None | Some(Value::Null) => return Err(("require", "is missing; a start needs it".to_owned())),
        Some(other) => return Err(("require", format!("is {}; it must be an object", shown(other)))),
    };
    let require = Require {
        cpu: required_number(require, "cpu", "require.cpu")?,
        memory: required_number(require, "memory", "require.memory")?,
        gpu: required_number(require, "gpu", "require.gpu")?,
    };
    let options = match data.get("options") {
        None | Some(Value::Null) => Map::new(),
        Some(Value::Object(options)) => options.clone(),
        Some(other) => return Err(("options", format!("is {}; it must be an object", shown(other)))),
    };
    if serde_json::to_string(&options).map_or(usize::MAX, |text| text.len()) > OPTIONS_LIMIT {
        return Err(("options", format!("has more than {OPTIONS_LIMIT} bytes")));
    }
    Ok(DeployStart {
        url: required_text(data, "url", ADDRESS_LIMIT)?,
        file: required_text(data, "file", ADDRESS_LIMIT)?,
        require,
        instance_id: optional_text(data, "instance_id")?,
        index: match data.get("index") {
            None | Some(Value::Null) => None,
            Some(_) => Some(required_number(data, "index", "index")?),
        },
        name: optional_text(data, "name")?,
        options,
    })
}

fn id(data: &Map<String, Value>) -> Result<Id, Wrong> {
    match data.get("id") {
        None | Some(Value::Null) => Err(("id", "is missing; a stop needs it".to_owned())),
        Some(Value::String(text)) if text.is_empty() => Err(("id", "is empty; a stop needs it".to_owned())),
        Some(Value::String(text)) if text.len() > NAME_LIMIT => {
            Err(("id", format!("has more than {NAME_LIMIT} bytes")))
        }
        Some(Value::String(text)) => Ok(Id::Text(text.clone())),
        Some(number) => match number.as_u64() {
            Some(number) => Ok(Id::Number(number)),
            None => Err(("id", format!("is {}; it must be a text or a positive number", shown(number)))),
        },
    }
}

fn required_text(data: &Map<String, Value>, field: &'static str, longest: usize) -> Result<String, Wrong> {
    match data.get(field) {
        None | Some(Value::Null) => Err((field, "is missing".to_owned())),
        Some(Value::String(text)) if text.is_empty() => Err((field, "is empty".to_owned())),
        Some(Value::String(text)) => plain(field, text, longest),
        Some(other) => Err((field, format!("is {}; it must be a text", shown(other)))),
    }
}

fn optional_text(data: &Map<String, Value>, field: &'static str) -> Result<Option<String>, Wrong> {
    match data.get(field) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(text)) if text.is_empty() => Ok(None),
        Some(Value::String(text)) => plain(field, text, NAME_LIMIT).map(Some),
        Some(other) => Err((field, format!("is {}; it must be a text", shown(other)))),
    }
}

fn plain(field: &'static str, text: &str, longest: usize) -> Result<String, Wrong> {
    if text.len() > longest {
        return Err((field, format!("has more than {longest} bytes")));
    }
    if text.chars().any(char::is_control) {
        return Err((field, "has a control character in it".to_owned()));
    }
    Ok(text.to_owned())
}

fn required_number<T: TryFrom<i128>>(
    data: &Map<String, Value>,
    key: &str,
    field: &'static str,
) -> Result<T, Wrong> {
    let value = match data.get(key) {
        None | Some(Value::Null) => return Err((field, "is missing".to_owned())),
        Some(value) => value,
    };
    let number = whole(value).and_then(|number| T::try_from(number).ok());
    number.ok_or_else(|| (field, format!("is {}; it must be a whole number in range", shown(value))))
}

/// A whole number, also one in a text, as the document's examples have them.
fn whole(value: &Value) -> Option<i128> {
    match value {
        Value::Number(number) => number.as_u64().map(i128::from).or_else(|| number.as_i64().map(i128::from)),
        Value::String(text) if text.len() <= 40 => text.trim().parse().ok(),
        _ => None,
    }
}

/// A value in a message: short.
fn shown(value: &Value) -> String {
    match value {
        Value::Object(_) => "an object".to_owned(),
        Value::Array(_) => "a list".to_owned(),
        Value::String(text) => format!("{:?}", text.chars().take(32).collect::<String>()),
        other => other.to_string(),
    }
}

/// What can be repeated of a request that may be anything.
fn echo(data: &Map<String, Value>) -> Echo {
    let require = data.get("require").and_then(Value::as_object).and_then(|require| {
        Some(Require {
            cpu: required_number(require, "cpu", "").ok()?,
            memory: required_number(require, "memory", "").ok()?,
            gpu: required_number(require, "gpu", "").ok()?,
        })
    });
    Echo {
        mode: text(data, "mode"),
        kind: text(data, "type"),
        uuid: text(data, "uuid"),
        id: data.get("id").and_then(|id| match id {
            Value::String(text) => Some(Id::Text(text.chars().take(NAME_LIMIT).collect())),
            other => other.as_u64().map(Id::Number),
        }),
        url: text(data, "url"),
        file: text(data, "file"),
        require,
    }
}

fn text(data: &Map<String, Value>, field: &str) -> String {
    let text = data.get(field).and_then(Value::as_str).unwrap_or_default();
    text.chars().take(ADDRESS_LIMIT).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const START: &str = include_str!("../../samples/board/deploy-start.json");

    fn refusal(change: impl FnOnce(&mut Map<String, Value>)) -> String {
        let mut request: Value = serde_json::from_str(START).unwrap();
        change(request.get_mut("data").unwrap().as_object_mut().unwrap());
        DeployRequest::parse(request.to_string().as_bytes()).unwrap_err().to_string()
    }

    #[test]
    fn what_is_missing_or_makes_no_sense_is_named() {
        for field in ["mode", "type", "uuid", "url", "file", "require"] {
            let refusal = refusal(|data| drop(data.remove(field)));
            assert!(refusal.starts_with(&format!("{field} is missing")), "{refusal}");
        }
        for field in ["cpu", "memory", "gpu"] {
            let refusal = refusal(|data| {
                data["require"].as_object_mut().unwrap().remove(field);
            });
            assert_eq!(refusal, format!("require.{field} is missing"));
        }
        let mistyped = refusal(|data| data["require"]["cpu"] = "two".into());
        assert_eq!(mistyped, "require.cpu is \"two\"; it must be a whole number in range");
        let mistyped = refusal(|data| data["require"]["memory"] = (-1).into());
        assert_eq!(mistyped, "require.memory is -1; it must be a whole number in range");
        assert_eq!(refusal(|data| data["uuid"] = 7.into()), "uuid is 7; it must be a text");
        assert!(refusal(|data| data["mode"] = "restart".into()).contains("\"start\" or \"stop\""));
        assert!(refusal(|data| data["name"] = "a\nb".into()).contains("control character"));
        assert!(refusal(|data| data["options"] = "x".repeat(9).into()).contains("must be an object"));
    }

    #[test]
    fn a_stop_needs_its_id() {
        let refusal = refusal(|data| data["mode"] = "stop".into());
        assert_eq!(refusal, "id is missing; a stop needs it");
    }

    #[test]
    fn numbers_in_texts_are_numbers() {
        let text = START.replace("\"cpu\": 2", "\"cpu\": \"2\"");
        assert_eq!(
            DeployRequest::parse(text.as_bytes()).unwrap(),
            DeployRequest::parse(START.as_bytes()).unwrap()
        );
    }

    #[test]
    fn every_outcome_has_a_number_of_its_own() {
        for (number, outcome) in (0..).zip(Outcome::ALL) {
            assert_eq!(outcome.code(), number);
            assert_eq!(Outcome::from_code(number), Some(outcome));
        }
        assert_eq!(Outcome::from_code(99), None);
    }

    #[test]
    fn what_is_no_envelope_is_told_apart_from_a_wrong_field() {
        assert!(matches!(DeployRequest::parse(b"{"), Err(BadDeploy::Malformed(_))));
        assert!(matches!(DeployRequest::parse(b"[]"), Err(BadDeploy::NoEnvelope)));
        assert!(matches!(
            DeployRequest::parse(b"{\"api_version\":2,\"data\":{}}"),
            Err(BadDeploy::NoEnvelope)
        ));
        let Err(BadDeploy::Field { echo, .. }) =
            DeployRequest::parse(b"{\"api_version\":1,\"data\":{\"uuid\":\"u\"}}")
        else {
            panic!()
        };
        assert_eq!(echo.uuid, "u");
    }
}
