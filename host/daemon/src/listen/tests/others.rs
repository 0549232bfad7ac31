//! TLS, with programs that share nothing with this library: where one is not installed, its test is skipped.

use std::path::Path;
use std::process::Stdio;

use tokio::process::Command;

use super::certificates::Authority;
use super::tls::World;
use super::*;

/// Whether the program is there. Where everything must be tested, it has to be.
#[expect(clippy::print_stdout, reason = "whoever runs the tests is told what was not tested")]
fn is_there(program: &str, version: &str) -> bool {
    let there = std::process::Command::new(program).arg(version).stdin(Stdio::null()).output().is_ok();
    let must = std::env::var_os("CARDCAGE_CI").is_some_and(|value| !value.is_empty());
    assert!(there || !must, "{program} is not installed");
    if !there {
        println!("skipped: {program} is not installed");
    }
    there
}

/// Whether it ended well, and everything that it said.
async fn said(command: &mut Command) -> (bool, String) {
    let output = timeout(Duration::from_secs(30), command.stdin(Stdio::null()).kill_on_drop(true).output());
    let output = output.await.expect("it does not end").unwrap();
    let text = [output.stdout, output.stderr].concat();
    (output.status.success(), String::from_utf8_lossy(&text).into_owned())
}

fn curl(world: &World, scheme: &str, more: &[&str]) -> Command {
    let mut curl = Command::new("curl");
    curl.args(["--silent", "--show-error", "--max-time", "20", "--noproxy", "*", "--data", "hello"]);
    curl.arg("--cacert").arg(world.dir.path().join("ca.pem")).args(more);
    curl.arg(format!("{scheme}://127.0.0.1:{}/", world.server.address.port()));
    curl
}

fn identity<'a>(dir: &Path, name: &str, words: &'a mut Vec<String>) -> Vec<&'a str> {
    for (option, end) in [("--cert", "pem"), ("--key", "key")] {
        words.push(option.into());
        words.push(dir.join(format!("{name}.{end}")).display().to_string());
    }
    words.iter().map(String::as_str).collect()
}

#[tokio::test]
async fn curl_is_served_with_its_certificate_and_not_without() {
    if !is_there("curl", "--version") {
        return;
    }
    let clients = Authority::new("clients");
    let world = World::start(LIMITS, Some(&clients));
    clients.identity().write(world.dir.path(), "right");
    Authority::new("clients").identity().write(world.dir.path(), "wrong");
    let (mut right, mut wrong) = (Vec::new(), Vec::new());
    let right = identity(world.dir.path(), "right", &mut right);
    let wrong = identity(world.dir.path(), "wrong", &mut wrong);

    for version in [["--tls-max", "1.2"], ["--tlsv1.3", "--http1.1"]] {
        let answer = said(&mut curl(&world, "https", &[&right[..], &version].concat())).await;
        assert_eq!(answer, (true, "5".into()));
        for refused in [&wrong[..], &[]] {
            let (served, text) = said(&mut curl(&world, "https", &[refused, &version].concat())).await;
            assert!(!served, "{text}");
        }
    }
    let (answered, text) = said(&mut curl(&world, "http", &[])).await;
    assert!(answered && text.contains("use an https address"), "{text}");
}

#[tokio::test]
async fn openssl_sees_the_certificate_and_no_old_protocol() {
    if !is_there("openssl", "version") {
        return;
    }
    let world = World::start(LIMITS, None);
    let client = |version: &str| {
        let mut openssl = Command::new("openssl");
        openssl.args(["s_client", "-brief", "-verify_return_error", "-alpn", "http/1.1", "-servername"]);
        openssl.args(["localhost", "-verify_hostname", "localhost", version, "-CAfile"]);
        openssl.arg(world.dir.path().join("ca.pem"));
        openssl.args(["-connect", &world.server.address.to_string()]);
        openssl
    };
    for version in ["-tls1_2", "-tls1_3"] {
        let (served, text) = said(&mut client(version)).await;
        assert!(served && text.contains("Verification: OK"), "{text}");
    }
    let (served, text) = said(&mut client("-tls1_1")).await;
    assert!(!served, "{text}");
}
