//! Who may deploy: by address, by token, by certificate. And bodies that are too much.

use std::io::{Read as _, Write as _};
use std::net::SocketAddrV4;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::{Command, Output};

use cardcage_tests::{Order, Reply, World, connect_from, post, post_from, skip};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair};

/// An order that is understood, and refused because of what it says: whoever gets this answer was let in.
fn body() -> Vec<u8> {
    Order::new("no-such-type", "a", "http://127.0.0.1", "x").body().to_string().into_bytes()
}

#[track_caller]
fn let_in(answer: &cardcage_tests::Answer) {
    assert_eq!(answer.status, 200, "{answer:?}");
    Reply::of(answer).refused(2, &["no-such-type"]);
}

#[test]
fn only_managers_that_are_allowed_are_heard() {
    let world = World::new();
    let (manager, stranger) = (world.address(50), world.address(51));
    let agent = world.agent().config(&format!("[managers]\nallow = [\"{manager}\"]")).start();
    let_in(&post_from(manager, agent.service(), "/deploy", &body()).unwrap());
    let refused = post_from(stranger, agent.service(), "/deploy", &body()).unwrap();
    assert_eq!(refused.status, 403);
    assert!(
        refused.body.contains("managers.allow") && refused.body.contains(&stranger.to_string()),
        "{refused:?}"
    );
    for path in ["/deployments", "/deployments/a/log"] {
        let refused = cardcage_tests::get_from(stranger, agent.service(), path).unwrap();
        assert_eq!(refused.status, 403, "{refused:?}");
    }
}

#[test]
fn whoever_deploys_brings_the_token() {
    let world = World::new();
    let file = world.folder().join("token");
    std::fs::write(&file, "a-token-of-some-length\n").unwrap();
    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o600)).unwrap();
    let agent = world.agent().service(&format!("token_file = {file:?}")).start();
    let refused = post(agent.service(), "/deploy", &body()).unwrap();
    assert_eq!(refused.status, 401);
    assert!(refused.body.contains("Bearer") && !refused.body.contains("a-token-of"), "{refused:?}");
    let url = format!("http://{}/deploy", agent.service());
    let header = |token: &str| format!("Authorization: Bearer {token}");
    for (token, status) in [("a-token-of-some-length", "200"), ("a-token-of-some-lengtH", "401"), ("", "401")]
    {
        let Some(done) = curl(&["-H", &header(token), &url]) else { return };
        assert_eq!(status_of(&done), status, "{token}: {done:?}");
    }
}

/// Posts the order with `curl`: a client of somebody else. It writes the body and then the status.
fn curl(words: &[&str]) -> Option<Output> {
    let mut command = Command::new("curl");
    command.args(["--silent", "--show-error", "--max-time", "30", "--write-out", "\n%{http_code}"]);
    command.args(["--data-binary", std::str::from_utf8(&body()).unwrap()]).args(words);
    match command.output() {
        Ok(done) => Some(done),
        Err(_) => {
            skip("a client of somebody else", "curl");
            None
        }
    }
}

fn status_of(done: &Output) -> String {
    String::from_utf8_lossy(&done.stdout).lines().last().unwrap_or_default().to_owned()
}

/// An authority, and what it signed, in a folder.
struct Authority(CertifiedIssuer<'static, KeyPair>);

impl Authority {
    fn new(folder: &Path, name: &str) -> Self {
        let mut about = CertificateParams::new(Vec::new()).unwrap();
        about.distinguished_name.push(DnType::CommonName, name);
        about.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let issuer = CertifiedIssuer::self_signed(about, KeyPair::generate().unwrap()).unwrap();
        std::fs::write(folder.join(name), issuer.pem()).unwrap();
        Self(issuer)
    }

    /// `NAME.crt` and `NAME.key`, for an address or a name.
    fn sign(&self, folder: &Path, name: &str, whom: &str) {
        let key = KeyPair::generate().unwrap();
        let about = CertificateParams::new(vec![whom.to_owned()]).unwrap();
        let certificate = about.signed_by(&key, &self.0).unwrap();
        std::fs::write(folder.join(format!("{name}.crt")), certificate.pem()).unwrap();
        let file = folder.join(format!("{name}.key"));
        std::fs::write(&file, key.serialize_pem()).unwrap();
        std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o600)).unwrap();
    }
}

#[test]
fn with_certificates_only_those_of_the_right_authority_are_served() {
    let world = World::new();
    let folder = world.place("certificates");
    let plan = world.agent();
    let ours = Authority::new(&folder, "ours.crt");
    let theirs = Authority::new(&folder, "theirs.crt");
    ours.sign(&folder, "board", &plan.address().to_string());
    ours.sign(&folder, "manager", "manager");
    theirs.sign(&folder, "stranger", "manager");
    let at = |name: &str| folder.join(name).to_str().unwrap().to_owned();
    let agent = plan
        .service(&format!(
            "tls_cert = {:?}\ntls_key = {:?}\nclient_ca = {:?}",
            at("board.crt"),
            at("board.key"),
            at("ours.crt")
        ))
        .start();
    let url = format!("https://{}/deploy", agent.service());
    let ask = |authority: &str, who: Option<&str>| {
        let (certificate, key) =
            (at(&format!("{}.crt", who.unwrap_or("x"))), at(&format!("{}.key", who.unwrap_or("x"))));
        let mut words = vec!["--cacert", authority];
        if who.is_some() {
            words.extend(["--cert", &certificate, "--key", &key]);
        }
        words.push(&url);
        curl(&words)
    };
    let Some(done) = ask(&at("ours.crt"), Some("manager")) else { return };
    assert_eq!(status_of(&done), "200", "{done:?}");
    for who in [None, Some("stranger")] {
        let done = ask(&at("ours.crt"), who).unwrap();
        assert!(!done.status.success() && status_of(&done) == "000", "{who:?}: {done:?}");
    }
    // And the board is who it says it is.
    assert!(!ask(&at("theirs.crt"), Some("manager")).unwrap().status.success());
    // Without TLS nobody is heard.
    assert!(!curl(&[&format!("http://{}/deploy", agent.service())]).unwrap().stdout.starts_with(b"{"));
}

#[test]
fn a_body_that_is_too_long_or_too_slow_is_not_waited_for() {
    let world = World::new();
    let agent = world.agent().start();
    let answer = post_from(world.address(50), agent.service(), "/deploy", &vec![b' '; 256 << 10 | 1]);
    // The agent need not read what it does not want: the connection may break before the answer is read.
    if let Ok(answer) = answer {
        assert_eq!(answer.status, 413, "{answer:?}");
    }
    let answer = slowly(world.address(50), agent.service());
    assert!(answer.starts_with("HTTP/1.1 408"), "{answer}");
    let_in(&post(agent.service(), "/deploy", &body()).unwrap());
}

/// Announces a body, sends one byte, and waits for what is said.
fn slowly(from: std::net::Ipv4Addr, service: SocketAddrV4) -> String {
    let mut stream = connect_from(from, service).unwrap();
    stream.set_read_timeout(Some(cardcage_tests::PATIENCE)).unwrap();
    write!(stream, "POST /deploy HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: 100\r\n\r\n{{")
        .unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}
