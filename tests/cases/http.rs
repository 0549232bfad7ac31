//! What probes ask over HTTP: hosts that were granted and no others, within bounds, and whatever the host does, the board
//! is reported on time.

mod redfish; // a management controller
pub(crate) mod servers; // hosts in every state

use cardcage_tests::{ASKS_HTTP, Agent, World, until};

use crate::siege::Siege;
use servers::{Certificate, Server};

/// Settings and grants of the guest.
pub(crate) fn config(url: &str, grants: &str) -> String {
    format!("[plugins.settings.asks-http]\nurl = \"{url}\"\n[plugins.grants.asks-http]\n{grants}\n")
}

fn granted(server: &Server) -> String {
    format!("http = [\"{}\"]", server.url())
}

/// An agent with the guest, which asks this address.
fn agent(world: &World, url: &str, grants: &str) -> Agent {
    world.agent().plugin("asks-http.wasm", ASKS_HTTP.packed()).config(&config(url, grants)).start()
}

/// What came of a request.
#[track_caller]
fn until_said(agent: &Agent, said: &str) {
    until(&format!("the guest says: {said}"), || {
        let plugin = agent.plugin("asks-http");
        plugin.faults.iter().any(|fault| fault.contains(said)).then_some(())
    });
}

/// What comes of a request to this server, which was granted.
#[track_caller]
fn check(answers: fn(&mut servers::Caller), said: &str) {
    let world = World::new();
    let server = Server::start(world.address(70), answers);
    until_said(&agent(&world, &server.url(), &granted(&server)), said);
}

#[test]
fn a_host_that_was_granted_is_asked() {
    let world = World::new();
    let server = Server::start(world.address(70), |caller| {
        let host = caller.header("host").unwrap_or_default();
        caller.say("200 OK", "", &format!("{} at {host}", caller.line()));
    });
    let agent = agent(&world, &format!("{}/a?b=c", server.url()), &granted(&server));
    until_said(&agent, &format!("GET /a?b=c HTTP/1.1 at {}", server.authority()));
    assert_eq!(agent.plugin("asks-http").failures, 0);
}

#[test]
fn what_is_sent_along_arrives() {
    let world = World::new();
    let server = Server::start(world.address(70), |caller| {
        let body = caller.body();
        caller.say("201 Created", "", &format!("took {} bytes", body.len()));
    });
    let agent = |length: usize| {
        let more = format!("\n[plugins.settings.asks-http]\nsend = \"{}\"", "x".repeat(length));
        let config = config(&server.url(), &granted(&server));
        let config = config.replacen("[plugins.settings.asks-http]", &more, 1);
        world.agent().plugin("asks-http.wasm", ASKS_HTTP.packed()).config(&config).start()
    };
    until_said(&agent(10_000), "201, 16 bytes: took 10000 bytes");
    until_said(&agent(70_000), "a body of more than 65536 bytes");
}

#[test]
fn a_probe_that_was_granted_nothing_is_refused_with_what_to_write() {
    let world = World::new();
    let agent = agent(&world, "http://127.0.0.1", "");
    let plugin = agent.until_plugin("asks-http", "refused");
    let reason = plugin.reason.unwrap();
    let words = "[plugins.grants.asks-http] http = [\"https://HOST\"]";
    assert!(reason.contains("imports wasi:http/outgoing-handler") && reason.contains(words), "{reason}");
}

#[test]
fn a_host_that_was_not_granted_is_not_asked() {
    let world = World::new();
    let server = Server::start(world.address(70), |caller| caller.say("200 OK", "", "leaked"));
    let (host, port) = (world.address(70), server.port());
    for other in [
        format!("http://{}:{port}", world.address(71)),
        format!("http://{host}:{}", port.wrapping_add(1).max(1)),
        format!("https://{host}:{port}"),
        format!("http://localhost:{port}"),
    ] {
        let agent = agent(&world, &server.url(), &format!("http = [\"{other}\"]"));
        until_said(&agent, "denied: ");
    }
    assert_eq!(server.asked(), 0);
}

#[test]
fn a_host_that_was_not_requested_is_not_asked() {
    let world = World::new();
    let server = Server::start(world.address(70), |caller| caller.say("200 OK", "", "leaked"));
    let manifest = ASKS_HTTP.manifest.replace("http = [\"*\"]", "http = [\"bmc.local\"]");
    let plan = world.agent().plugin("asks-http.wasm", ASKS_HTTP.packed_with(&manifest));
    let agent = plan.config(&config(&server.url(), "http = [\"*\"]")).start();
    until_said(&agent, "denied: ");
    assert_eq!(server.asked(), 0);
}

#[test]
fn a_guest_cannot_seem_to_ask_another() {
    let world = World::new();
    let server = Server::start(world.address(70), |caller| caller.say("200 OK", "", "leaked"));
    let config = config(&server.url(), &granted(&server));
    let config = config.replacen("[plugins.grants", "host = \"other\"\n[plugins.grants", 1);
    let agent = world.agent().plugin("asks-http.wasm", ASKS_HTTP.packed()).config(&config).start();
    until_said(&agent, "the headers of the request is not allowed");
    assert_eq!(server.asked(), 0);
}

#[test]
fn a_redirect_to_a_stranger_is_not_followed() {
    let world = World::new();
    let stranger = Server::start(world.address(71), |caller| caller.say("200 OK", "", "leaked"));
    let location = format!("location: {}/\r\n", stranger.url());
    let server = Server::start(world.address(70), move |caller| caller.say("302 Found", &location, ""));
    // Nor would it be if the stranger were granted.
    let agent = agent(&world, &server.url(), "http = [\"*\"]");
    until_said(&agent, &format!("302, 0 bytes: {}", stranger.url()));
    assert_eq!(stranger.asked(), 0);
}

#[test]
fn a_host_with_headers_without_end_is_given_up() {
    check(
        |caller| {
            caller.write(b"HTTP/1.1 200 OK\r\n");
            while caller.write(format!("x-more: {}\r\n", "x".repeat(200)).as_bytes()) {}
        },
        "too-large: ",
    );
}

#[test]
fn a_host_that_speaks_something_else_is_an_error() {
    check(
        |caller| {
            caller.write(b"220 mail.example ESMTP\r\n");
        },
        "io: ",
    );
}

#[test]
fn a_body_that_breaks_off_is_an_error_and_no_short_answer() {
    check(
        |caller| {
            caller.write(b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nhalf");
        },
        "io: ",
    );
}

#[test]
fn nobody_listens_there() {
    let world = World::new();
    let server = Server::start(world.address(70), |_| {});
    let url = server.url();
    drop(server);
    let agent = agent(&world, &url, &format!("http = [\"{url}\"]"));
    until_said(&agent, "nobody listens there");
}

/// The host is like this, the guest says that, and the board is reported on time.
#[track_caller]
fn check_siege(answers: fn(&mut servers::Caller), said: &str) {
    let world = World::new();
    let server = Server::start(world.address(70), answers);
    let siege = Siege::with(|plan| {
        let config = config(&server.url(), &granted(&server));
        plan.plugin("asks-http.wasm", ASKS_HTTP.packed()).config(&config)
    });
    siege.until_fault("asks-http", said);
    siege.others_are_on_time();
    let plugin = siege.until_fault("asks-http", said);
    // The request was ended, not the plugin.
    assert_eq!(plugin.restarts, 0, "{plugin:?}");
}

#[test]
fn a_host_that_never_answers_is_given_up_in_time() {
    check_siege(|caller| caller.linger(), "late: ");
}

#[test]
fn a_host_that_drips_is_given_up_in_time() {
    check_siege(
        |caller| {
            caller.write(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n");
            while caller.write(b"1\r\nx\r\n") {
                std::thread::sleep(std::time::Duration::from_millis(50));
            }
        },
        "late: ",
    );
}

#[test]
fn a_body_without_end_is_given_up() {
    const ENDLESS: fn(&mut servers::Caller) = |caller| {
        caller.write(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n");
        let chunk = [b"10000\r\n".as_slice(), &[b'x'; 65536], b"\r\n"].concat();
        while caller.write(&chunk) {}
    };
    check_siege(ENDLESS, "more than 1048576 bytes");
}

#[test]
fn a_certificate_is_verified_by_the_bundle_or_by_its_digest() {
    let world = World::new();
    let own = Certificate::new(world.address(70));
    let other = Certificate::new(world.address(70));
    let server = Server::start_tls(world.address(70), &own, |caller| caller.say("200 OK", "", "secret"));
    let file = |name: &str, certificate: &Certificate| {
        let path = world.folder().join(name);
        std::fs::write(&path, certificate.pem()).unwrap();
        format!("{path:?}")
    };
    for (trust, said) in [
        (format!("http_ca = {}", file("own.pem", &own)), "200, 6 bytes: secret"),
        (format!("http_pin = [\"sha256:{}\"]", own.digest()), "200, 6 bytes: secret"),
        (format!("http_ca = {}", file("other.pem", &other)), "its certificate is not trusted"),
        (format!("http_pin = [\"sha256:{}\"]", other.digest()), "its certificate is not trusted"),
        ("http_ca = \"/nowhere/ca.pem\"".to_owned(), "/nowhere/ca.pem cannot be used"),
    ] {
        let agent = agent(&world, &server.url(), &format!("{}\n{trust}", granted(&server)));
        until_said(&agent, said);
    }
}

#[test]
fn a_certificate_is_verified_by_its_name() {
    let world = World::new();
    let of_another = Certificate::new(world.address(71));
    let server =
        Server::start_tls(world.address(70), &of_another, |caller| caller.say("200 OK", "", "secret"));
    let path = world.folder().join("ca.pem");
    std::fs::write(&path, of_another.pem()).unwrap();
    let agent = agent(&world, &server.url(), &format!("{}\nhttp_ca = {path:?}", granted(&server)));
    until_said(&agent, "its certificate is not trusted");
}
