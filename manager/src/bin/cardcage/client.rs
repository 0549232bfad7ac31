//! The manager's API. Every call has a deadline, every answer a limit; redirects and proxies are not followed, since the
//! token must reach nobody else.

use std::thread::sleep;
use std::time::Duration;

use cardcage_manager::agents::escaped;
use cardcage_manager::api::types::Problem;
use serde::de::DeserializeOwned;
use serde_json::Value;
use ureq::http::{Response, StatusCode, Uri};
use ureq::{Agent, Body};

use crate::args::BoardFilter;
use crate::failure::Failure;

const CONNECT_DEADLINE: Duration = Duration::from_secs(5);
const CALL_DEADLINE: Duration = Duration::from_secs(30);

/// For orders, which wait for boards; a little longer than the manager waits.
const ORDER_DEADLINE: Duration = Duration::from_secs(7 * 60 + 15);

/// How often a manager that is busy is asked again, and the pause before that.
const BUSY_TRIES: u32 = 3;
const BUSY_PAUSE: Duration = Duration::from_millis(300);

/// Longest answer that is read. A page of boards has some megabytes.
const ANSWER_LIMIT: u64 = 64 << 20;

/// Boards that are asked for at once.
const PAGE: usize = 1000;

/// Pages that are asked for. A manager keeps fewer boards.
const PAGES: usize = 100;

pub(crate) struct Client {
    agent: Agent,
    /// Without a slash at its end.
    base: String,
}

impl Client {
    /// A client of the manager at this URL.
    pub(crate) fn new(url: &str) -> Result<Self, Failure> {
        let base = url.trim_end_matches('/').to_owned();
        let parsed = base.parse::<Uri>().ok();
        let good = parsed.is_some_and(|uri| uri.scheme_str() == Some("http") && uri.host().is_some());
        if !good {
            return Err(Failure::Url { url: url.to_owned() });
        }
        let agent = Agent::config_builder()
            .timeout_connect(Some(CONNECT_DEADLINE))
            .timeout_global(Some(CALL_DEADLINE))
            .http_status_as_error(false)
            .max_redirects(0)
            .proxy(None)
            .build()
            .new_agent();
        Ok(Self { agent, base })
    }

    /// The boards that fit, from every page.
    pub(crate) fn boards(&self, filter: &BoardFilter) -> Result<Vec<Value>, Failure> {
        let mut boards = Vec::new();
        let mut after: Option<String> = None;
        for _ in 0..PAGES {
            let mut path = format!("/fleet/v1/boards?limit={PAGE}");
            if let Some(state) = filter.state {
                path += &format!("&state={}", state.name());
            }
            if let Some(box_id) = filter.box_id {
                path += &format!("&box={box_id}");
            }
            if let Some(after) = &after {
                path += &format!("&after={after}");
            }
            let mut page = self.get(&path)?;
            if let Some(Value::Array(more)) = page.get_mut("boards").map(Value::take) {
                boards.extend(more);
            }
            after = page.get("next").and_then(Value::as_str).filter(|id| is_id(id)).map(str::to_owned);
            if after.is_none() {
                break;
            }
        }
        Ok(boards)
    }

    /// One board.
    pub(crate) fn board(&self, id: &str) -> Result<Value, Failure> {
        self.get(&format!("/fleet/v1/boards/{id}"))
    }

    /// Its readings, if it has reported any.
    pub(crate) fn resource(&self, id: &str) -> Result<Option<Value>, Failure> {
        match self.get(&format!("/fleet/v1/boards/{id}/resource")) {
            Err(Failure::Problem(problem)) if problem.status == 404 => Ok(None),
            answer => answer.map(Some),
        }
    }

    /// The plugins of the fleet.
    pub(crate) fn plugins(&self) -> Result<Value, Failure> {
        self.get("/fleet/v1/plugins")
    }

    /// One plugin, wherever it is.
    pub(crate) fn plugin(&self, name: &str) -> Result<Value, Failure> {
        self.get(&format!("/fleet/v1/plugins/{}", escaped(name)))
    }

    /// The plugins of one board.
    pub(crate) fn board_plugins(&self, id: &str) -> Result<Value, Failure> {
        self.get(&format!("/fleet/v1/boards/{id}/plugins"))
    }

    /// Begins a push.
    pub(crate) fn push(&self, query: &str, plugin: &[u8], token: &str) -> Result<Value, Failure> {
        let request = self.agent.post(format!("{}/fleet/v1/plugin-pushes?{query}", self.base));
        let request = request.header("Authorization", format!("Bearer {token}"));
        let request = request.content_type("application/wasm");
        let response = request.config().timeout_global(Some(ORDER_DEADLINE)).build().send(plugin);
        self.answer(response.map_err(|error| self.unreachable(&error))?)
    }

    /// A push.
    pub(crate) fn pushed(&self, id: &str) -> Result<Value, Failure> {
        self.get(&format!("/fleet/v1/plugin-pushes/{}", escaped(id)))
    }

    /// The last pushes.
    pub(crate) fn pushes(&self) -> Result<Value, Failure> {
        self.get("/fleet/v1/plugin-pushes")
    }

    /// Stops a push.
    pub(crate) fn stop_push(&self, id: &str, token: &str) -> Result<(), Failure> {
        let request = self.agent.delete(format!("{}/fleet/v1/plugin-pushes/{}", self.base, escaped(id)));
        let response = request.header("Authorization", format!("Bearer {token}")).call();
        let response = response.map_err(|error| self.unreachable(&error))?;
        if response.status().is_success() { Ok(()) } else { Err(self.problem(response)) }
    }

    /// A page after another of deployments that fit.
    pub(crate) fn deployments(&self, query: &str) -> Result<Vec<Value>, Failure> {
        let mut deployments = Vec::new();
        let mut after: Option<String> = None;
        for _ in 0..PAGES {
            let mut path = format!("/fleet/v1/deployments?limit={PAGE}{query}");
            if let Some(after) = &after {
                path += &format!("&after={}", escaped(after));
            }
            let mut page = self.get(&path)?;
            if let Some(Value::Array(more)) = page.get_mut("deployments").map(Value::take) {
                deployments.extend(more);
            }
            after = page.get("next").and_then(Value::as_str).map(str::to_owned);
            if after.is_none() {
                break;
            }
        }
        Ok(deployments)
    }

    /// One deployment.
    pub(crate) fn deployment(&self, uuid: &str) -> Result<Value, Failure> {
        self.get(&format!("/fleet/v1/deployments/{}", escaped(uuid)))
    }

    /// A piece of what an instance printed, or none if its board has none.
    pub(crate) fn log(&self, uuid: &str, query: &str, token: &str) -> Result<Option<Value>, Failure> {
        let path = format!("/fleet/v1/deployments/{}/log?{query}", escaped(uuid));
        match self.read(&path, Some(token)) {
            Err(Failure::Problem(problem)) if problem.kind == "urn:cardcage:problem:no-such-deployment" => {
                Err(Failure::NoSuchDeployment(uuid.to_owned()))
            }
            Err(Failure::Problem(problem)) if problem.status == 404 => Ok(None),
            answer => answer.map(Some),
        }
    }

    /// Orders something, and waits for what comes of it.
    pub(crate) fn order(&self, path: &str, order: &Value, token: &str) -> Result<Value, Failure> {
        let request = self.agent.post(format!("{}{path}", self.base));
        let request = request.header("Authorization", format!("Bearer {token}"));
        let response = request.config().timeout_global(Some(ORDER_DEADLINE)).build().send_json(order);
        self.answer(response.map_err(|error| self.unreachable(&error))?)
    }

    /// Forgets a deployment.
    pub(crate) fn forget_deployment(&self, uuid: &str, token: &str) -> Result<(), Failure> {
        let request =
            self.agent.delete(format!("{}/fleet/v1/deployments/{}?forget=true", self.base, escaped(uuid)));
        let response = request.header("Authorization", format!("Bearer {token}")).call();
        let response = response.map_err(|error| self.unreachable(&error))?;
        match response.status() {
            StatusCode::NOT_FOUND => Err(Failure::NoSuchDeployment(uuid.to_owned())),
            status if status.is_success() => Ok(()),
            _ => Err(self.problem(response)),
        }
    }

    /// Forgets a board.
    pub(crate) fn forget(&self, id: &str, token: &str) -> Result<(), Failure> {
        let request = self.agent.delete(format!("{}/fleet/v1/boards/{id}", self.base));
        let response = request.header("Authorization", format!("Bearer {token}")).call();
        let response = response.map_err(|error| self.unreachable(&error))?;
        if response.status().is_success() { Ok(()) } else { Err(self.problem(response)) }
    }

    fn get(&self, path: &str) -> Result<Value, Failure> {
        self.read(path, None)
    }

    fn read(&self, path: &str, token: Option<&str>) -> Result<Value, Failure> {
        let ask = || {
            let mut request = self.agent.get(format!("{}{path}", self.base));
            if let Some(token) = token {
                request = request.header("Authorization", format!("Bearer {token}"));
            }
            let response = request.call();
            response.map_err(|error| self.unreachable(&error))
        };
        let mut response = ask()?;
        // Others on this machine are being answered; that takes moments.
        for _ in 0..BUSY_TRIES {
            if response.status() != StatusCode::SERVICE_UNAVAILABLE {
                break;
            }
            sleep(BUSY_PAUSE);
            response = ask()?;
        }
        self.answer(response)
    }

    fn answer(&self, mut response: Response<Body>) -> Result<Value, Failure> {
        if !response.status().is_success() {
            return Err(self.problem(response));
        }
        let answer = response.body_mut().with_config().limit(ANSWER_LIMIT).read_json();
        answer.map_err(|error| match error {
            ureq::Error::Json(error) => self.not_a_manager(&error.to_string()),
            error => self.unreachable(&error),
        })
    }

    fn problem(&self, mut response: Response<Body>) -> Failure {
        let status = response.status();
        match response.body_mut().with_config().limit(ANSWER_LIMIT).read_json::<Problem>() {
            Ok(problem) => Failure::Problem(problem),
            Err(_) => self.not_a_manager(&format!("it answers {status}")),
        }
    }

    fn unreachable(&self, error: &ureq::Error) -> Failure {
        // Without the client's own words around it.
        let reason = match error {
            ureq::Error::Io(error) => error.to_string(),
            other => other.to_string(),
        };
        Failure::Unreachable { url: self.base.clone(), reason }
    }

    fn not_a_manager(&self, reason: &str) -> Failure {
        Failure::NotAManager { url: self.base.clone(), reason: reason.to_owned() }
    }
}

/// Whether it can stand in a path as it is, as the manager's ids do.
pub(crate) fn is_id(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte))
}

/// An answer with its types.
pub(crate) fn typed<T: DeserializeOwned>(answer: &Value) -> Result<T, Failure> {
    T::deserialize(answer).map_err(|error| {
        let reason = format!("its answer is of another version ({error})");
        Failure::NotAManager { url: "the manager".to_owned(), reason }
    })
}

#[cfg(test)]
mod tests {
    use std::io::{Read as _, Write as _};
    use std::net::TcpListener;
    use std::thread;

    use super::*;

    /// A manager that gives these answers, one a connection.
    fn manager(answers: &'static [&'static str]) -> Client {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let client = Client::new(&format!("http://{}", listener.local_addr().unwrap())).unwrap();
        thread::spawn(move || {
            for answer in answers {
                let (mut stream, _) = listener.accept().unwrap();
                let _head = stream.read(&mut [0; 4096]).unwrap();
                let (status, body) = answer.split_once('\n').unwrap();
                let head =
                    format!("HTTP/1.1 {status}\r\nConnection: close\r\nContent-Length: {}", body.len());
                write!(stream, "{head}\r\n\r\n{body}").unwrap();
            }
        });
        client
    }

    const BUSY: &str = "503 Service Unavailable\n{\"type\":\"about:blank\",\"title\":\"manager busy\",\"status\":503,\"detail\":\"busy\",\"remedy\":\"wait\"}";

    #[test]
    fn a_manager_that_is_busy_is_asked_again_and_not_for_ever() {
        assert_eq!(manager(&[BUSY, BUSY, "200 OK\n{\"boards\":7}"]).plugins().unwrap()["boards"], 7);
        let refused = manager(&[BUSY, BUSY, BUSY, BUSY]).plugins().unwrap_err();
        assert!(matches!(&refused, Failure::Problem(problem) if problem.status == 503), "{refused}");
    }
}
