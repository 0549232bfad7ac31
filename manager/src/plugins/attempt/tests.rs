//! Pushes to agents that the test plays.

use std::net::{Ipv4Addr, SocketAddrV4};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use axum::Router;
use axum::extract::{Query, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use serde_json::{Value, json};
use tempfile::TempDir;

use super::*;
use crate::fleet::Fleet;
use crate::model::plugin::{Push, Stage};
use crate::plugins::Wanted;
use crate::testing;

const OLD: &str = "old";

/// How an agent takes what it is brought.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Manner {
    Runs,
    Idle,
    Traps,
    /// And is away when that is to be taken back, the first time.
    TrapsAway,
    Undecided,
    Off,
    /// An agent without pushes.
    Older,
    /// It answers with what never ends.
    Endless,
}

#[derive(Clone)]
struct Agent(Arc<Mutex<Board>>);

struct Board {
    manner: Manner,
    held: String,
    pushed: Option<String>,
}

impl Agent {
    fn board(&self) -> MutexGuard<'_, Board> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn held(&self) -> String {
        self.board().held.clone()
    }

    fn hold(&self, digest: &str) {
        self.board().held = digest.to_owned();
    }

    fn manner(&self) -> Manner {
        self.board().manner
    }

    /// At this address of the machine, on a port of its own.
    async fn open(host: u8, manner: Manner) -> (Self, SocketAddrV4) {
        let board = Board { manner, held: OLD.to_owned(), pushed: None };
        let agent = Self(Arc::new(Mutex::new(board)));
        let address = Ipv4Addr::new(127, 9, 9, host);
        let listener = tokio::net::TcpListener::bind((address, 0)).await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let file = get(held).put(put).delete(take_back);
        let router = Router::new().route("/plugins", get(list));
        let router = if manner == Manner::Older { router } else { router.route("/plugins/{file}", file) };
        tokio::spawn(axum::serve(listener, router.with_state(agent.clone())).into_future());
        (agent, SocketAddrV4::new(address, port))
    }
}

async fn list(State(agent): State<Agent>) -> Response {
    let entry = |digest: &str, state: &str| json!({"name": "acme", "version": "1", "digest": digest, "state": state, "readings": 1});
    let held = agent.held();
    let list = match agent.manner() {
        _ if held == OLD => json!([entry(OLD, "ready")]),
        Manner::Runs => json!([entry(&held, "ready")]),
        Manner::Idle => json!([entry(&held, "idle")]),
        Manner::Endless => return vec![b' '; plugins::LIST_LIMIT + 1].into_response(),
        manner => {
            let state = if manner == Manner::Undecided { "starting" } else { "quarantined" };
            let mut old = entry(OLD, "ready");
            old["replacement"] =
                json!({"name": "acme", "version": "2", "digest": held, "state": state, "reason": "trap"});
            json!([old])
        }
    };
    list.to_string().into_response()
}

async fn held(State(agent): State<Agent>) -> Response {
    if agent.manner() == Manner::Off {
        let refusal = json!({"code": "denied", "detail": "push = true allows it"}).to_string();
        return (StatusCode::FORBIDDEN, refusal).into_response();
    }
    let board = agent.board();
    json!({"file": "acme.wasm", "digest": board.held, "pushed": board.pushed}).to_string().into_response()
}

async fn put(State(agent): State<Agent>, body: Bytes) -> String {
    use sha2::Digest as _;
    let digest: String = sha2::Sha256::digest(&body).iter().map(|byte| format!("{byte:02x}")).collect();
    let mut board = agent.board();
    (board.held, board.pushed) = (digest.clone(), Some(digest.clone()));
    json!({"file": "acme.wasm", "digest": digest}).to_string()
}

async fn take_back(State(agent): State<Agent>, Query(query): Query<Value>) -> Response {
    assert_eq!(query["digest"], agent.held(), "what was pushed is taken back");
    let mut board = agent.board();
    if board.manner == Manner::TrapsAway {
        board.manner = Manner::Traps;
        return StatusCode::BAD_GATEWAY.into_response();
    }
    board.held = OLD.to_owned();
    json!({"file": "acme.wasm", "digest": OLD}).to_string().into_response()
}

/// A manager of boards with agents of these manners.
struct Boards {
    plugins: Plugins,
    agents: Vec<Agent>,
    ids: Vec<BoardId>,
    fleet: Fleet,
    _dir: TempDir,
}

impl Boards {
    async fn new(network: u8, manners: &[Manner]) -> Self {
        let (dir, fleet) = (tempfile::tempdir().unwrap(), testing::fleet());
        let (mut agents, mut ids) = (Vec::new(), Vec::new());
        for (number, manner) in (1_u8..).zip(manners) {
            let (agent, address) = Agent::open(network + number, *manner).await;
            let id = uuid::Uuid::from_u128(number.into());
            let reported = json!([{"name": "acme", "version": "1", "digest": OLD, "state": "ready"}]);
            testing::heartbeat_at(&fleet, number.into(), &format!("n{number}"), &reported, address);
            agents.push(agent);
            ids.push(BoardId::of_agent(id));
        }
        let deployments = testing::deployments(dir.path(), &fleet);
        Self { plugins: Plugins::new(deployments, testing::agents()), agents, ids, fleet, _dir: dir }
    }

    /// Pushes to all of them, the first as canary, to the end.
    async fn push(&self, max_failures: usize, at_once: usize) -> Push {
        let wanted = Wanted {
            file: "acme.wasm".into(),
            group: None,
            canary: self.ids[0].clone(),
            others: self.ids[1..].to_vec(),
            max_failures,
            timeout: Duration::from_secs(1),
            at_once,
        };
        let place = self.plugins.place().unwrap();
        let push = self.plugins.push(place, wanted, Bytes::from_static(b"\0asm new")).unwrap();
        loop {
            let now = self.plugins.pushed(push.id).unwrap();
            if now.stage.is_over() {
                return now;
            }
            sleep(Duration::from_millis(20)).await;
        }
    }

    fn have_the_old(&self) -> Vec<bool> {
        self.agents.iter().map(|agent| agent.held() == OLD).collect()
    }
}

fn fates(push: &Push) -> Vec<Fate> {
    push.boards.iter().map(|board| board.fate).collect()
}

#[tokio::test]
async fn what_runs_on_the_canary_goes_to_the_others() {
    let boards = Boards::new(0, &[Manner::Runs, Manner::Runs, Manner::Idle]).await;
    let push = boards.push(0, 16).await;
    assert_eq!((push.stage, fates(&push)), (Stage::Done, vec![Fate::Running, Fate::Running, Fate::Idle]));
    assert_eq!(boards.have_the_old(), [false; 3]);
    // Again: they have it.
    assert_eq!(boards.push(0, 16).await.stage, Stage::Done);
}

#[tokio::test]
async fn a_canary_that_does_not_take_it_stops_the_push_and_has_the_old_again() {
    for (network, manner, fate, said) in [
        (10, Manner::Traps, Fate::Failed, "trap; taken back"),
        (20, Manner::Undecided, Fate::Failed, "nothing is decided after 1s: starting: trap; taken back"),
        (30, Manner::Idle, Fate::Idle, "not for this board: idle; taken back"),
        (40, Manner::Off, Fate::Refused, "push = true allows it"),
        (50, Manner::Older, Fate::Refused, "takes no plugins over the network"),
        (60, Manner::Endless, Fate::NoAnswer, "more than"),
    ] {
        let boards = Boards::new(network, &[manner, Manner::Runs]).await;
        let push = boards.push(9, 16).await;
        assert_eq!((push.stage, fates(&push)), (Stage::Stopped, vec![fate, Fate::NotBegun]), "{manner:?}");
        assert!(push.boards[0].message.contains(said), "{manner:?}: {:?}", push.boards[0]);
        assert!(push.why.unwrap().contains("the canary"), "{manner:?}");
        assert_eq!(boards.have_the_old(), [true; 2], "{manner:?}");
    }
}

#[tokio::test]
async fn what_could_not_be_taken_back_is_when_it_is_pushed_again() {
    let boards = Boards::new(140, &[Manner::TrapsAway]).await;
    let push = boards.push(0, 1).await;
    assert!(push.boards[0].message.contains("NOT taken back"), "{:?}", push.boards[0]);
    assert!(push.boards[0].message.contains("push the same file again"), "{:?}", push.boards[0]);
    assert_eq!(boards.have_the_old(), [false]);
    let push = boards.push(0, 1).await;
    assert!(push.boards[0].message.contains("; taken back"), "{:?}", push.boards[0]);
    assert_eq!(boards.have_the_old(), [true]);
    // What nobody pushed is nobody's to take back.
    boards.agents[0].hold(&push.digest);
    boards.agents[0].board().pushed = None;
    let push = boards.push(0, 1).await;
    assert!(push.boards[0].message.contains("there before, so it stays"), "{:?}", push.boards[0]);
    assert_eq!(boards.have_the_old(), [false]);
}

#[tokio::test]
async fn more_failures_than_may_be_stop_it_and_those_that_may_do_not() {
    let manners = [Manner::Runs, Manner::Traps, Manner::Runs, Manner::Off, Manner::Runs];
    let boards = Boards::new(80, &manners).await;
    let push = boards.push(0, 1).await;
    use Fate::{Failed, NotBegun, Refused, Running};
    assert_eq!(
        (push.stage, fates(&push)),
        (Stage::Stopped, vec![Running, Failed, NotBegun, NotBegun, NotBegun])
    );
    assert_eq!(boards.have_the_old(), [false, true, true, true, true]);
    let push = boards.push(2, 2).await;
    assert_eq!((push.stage, fates(&push)), (Stage::Done, vec![Running, Failed, Running, Refused, Running]));
}

#[tokio::test]
async fn a_push_is_stopped_by_who_asks_and_by_the_end_of_the_manager() {
    let boards = Boards::new(100, &[Manner::Runs, Manner::Undecided, Manner::Runs]).await;
    let wanted = |others: &[BoardId]| Wanted {
        file: "acme.wasm".into(),
        group: None,
        canary: boards.ids[0].clone(),
        others: others.to_vec(),
        max_failures: 9,
        timeout: Duration::from_secs(2),
        at_once: 1,
    };
    let push = |others| {
        let place = boards.plugins.place().unwrap();
        boards.plugins.push(place, wanted(others), Bytes::from_static(b"\0asm new")).unwrap().id
    };
    let until = async |id, over: fn(&Push) -> bool| loop {
        let push = boards.plugins.pushed(id).unwrap();
        if over(&push) {
            return push;
        }
        sleep(Duration::from_millis(20)).await;
    };
    let id = push(&boards.ids[1..]);
    until(id, |push| push.boards[1].fate == Fate::UnderWay).await;
    assert!(boards.plugins.stop_push(id));
    let stopped = until(id, |push| push.stage.is_over()).await;
    assert_eq!(fates(&stopped), [Fate::Running, Fate::Failed, Fate::NotBegun]);
    assert!(stopped.why.unwrap().contains("somebody stopped it"));
    let id = push(&boards.ids[1..]);
    until(id, |push| push.boards[1].fate == Fate::UnderWay).await;
    let stop = tokio_util::sync::CancellationToken::new();
    stop.cancel();
    boards.plugins.clone().run(stop).await;
    let stopped = boards.plugins.pushed(id).unwrap();
    assert!(stopped.why.unwrap().contains("the manager was stopped"));
}

#[tokio::test]
async fn plugins_are_shown_as_their_agents_show_them_or_as_they_were_reported() {
    let boards = Boards::new(120, &[Manner::Runs, Manner::Endless]).await;
    boards.agents[1].hold("anything");
    let seen = boards.plugins.of_boards(boards.fleet.walk().collect(), "acme").await;
    assert_eq!(seen.len(), 2);
    assert!(seen[0].why_not.is_none() && seen[0].plugins[0].more.is_some(), "{seen:?}");
    assert!(seen[1].why_not.as_ref().unwrap().contains("more than"), "{seen:?}");
    assert!(seen[1].plugins[0].digest.as_str() == OLD && seen[1].plugins[0].more.is_none(), "{seen:?}");
    assert!(boards.plugins.of_boards(boards.fleet.walk().collect(), "other").await[0].plugins.is_empty());
}
