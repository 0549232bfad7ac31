//! The agent's own HTTP service.

use std::io::Write;
use std::net::{Ipv4Addr, SocketAddr};
use std::process::{Command, Stdio};

use cardcage_agent::protocol::plugins::PluginEntry;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::PATIENCE;
use crate::agent::Agent;
use crate::manager::Group;

async fn ask(service: SocketAddr, request: &str) -> String {
    let mut stream = TcpStream::connect(service).await.unwrap();
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    // A service that refuses what it has not read may reset the connection after its answer.
    let _reset = timeout(PATIENCE, stream.read_to_end(&mut answer)).await.unwrap().is_err();
    String::from_utf8(answer).unwrap()
}

async fn get(service: SocketAddr, path: &str) -> (String, String) {
    let request = format!("GET {path} HTTP/1.1\r\nHost: agent\r\nConnection: close\r\n\r\n");
    let answer = ask(service, &request).await;
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    (head.to_owned(), body.to_owned())
}

fn agent() -> Agent {
    Agent::start(Group::new(), Ipv4Addr::LOCALHOST)
}

#[tokio::test]
async fn it_says_that_it_runs() {
    let agent = agent();
    let (head, body) = get(agent.service, "/healthz").await;
    assert!(head.starts_with("HTTP/1.1 200"), "{head}");
    assert_eq!(body, "ok\n");
}

#[tokio::test]
async fn plugins_are_listed_with_what_an_operator_asks_first() {
    let agent = agent();
    let (head, body) = get(agent.service, "/plugins").await;
    assert!(head.contains("application/json"), "{head}");
    let plugins: Vec<PluginEntry> = serde_json::from_str(&body).unwrap();
    let plugin = plugins.first().unwrap();
    assert_eq!((plugin.name.as_str(), plugin.state.as_str()), ("probe-fake", "ready"));
    assert_eq!((plugin.samples, plugin.failures, plugin.restarts), (1, 2, 1));
    assert_eq!((plugin.last_sample_ms, plugin.memory), (Some(1.5), Some(65536)));
    assert_eq!(plugin.faults, ["a \"fault\""]);
}

#[tokio::test]
async fn what_is_not_there_or_not_meant_is_refused_in_json() {
    let agent = agent();
    let service = agent.service;
    let (head, _) = get(service, "/deploy").await;
    assert!(head.starts_with("HTTP/1.1 405") && head.to_lowercase().contains("allow: post"), "{head}");
    let (head, body) = get(service, "/nothing").await;
    assert!(head.starts_with("HTTP/1.1 404"), "{head}");
    assert!(body.starts_with("{\"code\":\"absent\""), "{body}");
    let delete = ask(service, "DELETE /metrics HTTP/1.1\r\nHost: agent\r\nConnection: close\r\n\r\n").await;
    assert!(delete.starts_with("HTTP/1.1 405"), "{delete}");
    assert!(delete.to_lowercase().contains("allow: get, head"), "{delete}");
}

#[tokio::test]
async fn hostile_requests_are_refused_and_the_next_one_answered() {
    let agent = agent();
    let service = agent.service;
    let long = format!("GET / HTTP/1.1\r\nX: {}\r\n\r\n", "x".repeat(1 << 20));
    let many = format!("GET / HTTP/1.1\r\n{}\r\n", "X: y\r\n".repeat(2000));
    for request in [long.as_str(), many.as_str(), "\0\0\0\0\r\n\r\n", "GET\r\n\r\n"] {
        let mut stream = TcpStream::connect(service).await.unwrap();
        let _cut_off = stream.write_all(request.as_bytes()).await.is_err();
        let mut answer = Vec::new();
        let _reset = timeout(PATIENCE, stream.read_to_end(&mut answer)).await.unwrap().is_err();
        assert!(answer.is_empty() || answer.starts_with(b"HTTP/1.1 4"));
    }
    assert_eq!(get(service, "/healthz").await.1, "ok\n");
}

#[tokio::test]
async fn clients_that_say_nothing_do_not_keep_others_out_for_good() {
    let agent = agent();
    let service = agent.service;
    let mut silent = Vec::new();
    for _ in 0..100 {
        silent.push(TcpStream::connect(service).await.unwrap());
    }
    assert_eq!(get(service, "/healthz").await.1, "ok\n");
    assert_eq!(silent.len(), 100);
}

#[tokio::test]
async fn the_metrics_are_as_prometheus_wants_them() {
    let agent = agent();
    let (head, metrics) = get(agent.service, "/metrics").await;
    assert!(head.contains("text/plain; version=0.0.4"), "{head}");
    for series in [
        "cardcage_agent_queries_total{outcome=\"spoofed\"} 0",
        "cardcage_agent_plugin_samples_total{plugin=\"probe-fake\"} 1",
        "cardcage_agent_plugin_state{plugin=\"probe-fake\",state=\"ready\"} 1",
        "cardcage_agent_plugin_memory_bytes{plugin=\"probe-fake\"} 65536",
        "cardcage_agent_plugin_sample_duration_seconds{plugin=\"probe-fake\"} 0.0015",
    ] {
        assert!(metrics.lines().any(|line| line == series), "{series} is not in\n{metrics}");
    }
    check_with_promtool(&metrics);
}

/// Where promtool is not installed this is skipped, except in CI.
#[expect(clippy::print_stderr, reason = "a test that is skipped says so")]
fn check_with_promtool(metrics: &str) {
    let promtool = Command::new("promtool")
        .args(["check", "metrics"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn();
    let Ok(mut promtool) = promtool else {
        let required = ["CI", "CARDCAGE_CI"].iter().any(|name| std::env::var_os(name).is_some());
        assert!(!required, "promtool is not installed");
        eprintln!("skipped: the_metrics_are_as_prometheus_wants_them (promtool is not installed)");
        return;
    };
    promtool.stdin.take().unwrap().write_all(metrics.as_bytes()).unwrap();
    let output = promtool.wait_with_output().unwrap();
    let said =
        String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && said.is_empty(), "{said}\n{metrics}");
}
