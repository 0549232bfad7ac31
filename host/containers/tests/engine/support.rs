//! An engine, an image in it, and the commands that a test needs beside the crate.

use std::collections::BTreeMap;
use std::io::{Cursor, Read, Write as _};
use std::process::{Command, Output, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use cardcage_containers::{Config, Credentials, Engine, Info, Limits, Owner, Spec};
use tempfile::TempDir;
use tokio::time::{Instant, sleep};

pub const BACKEND: &str = "test-backend";
const SOCKET: &str = "/var/run/docker.sock";
const PATIENCE: Duration = Duration::from_secs(60);

/// An agent with its engine, and an image of busybox.
pub struct Board {
    pub engine: Engine,
    pub agent: String,
    pub image: String,
    pub folder: TempDir,
    /// The engine's command line.
    client: Vec<String>,
}

impl Board {
    /// `None`, and a word about it, where there is no docker.
    pub fn docker() -> Option<Self> {
        Self::with_registries(BTreeMap::new())
    }

    pub fn with_registries(registries: BTreeMap<String, Credentials>) -> Option<Self> {
        if !succeeds(&["docker", "-H", &format!("unix://{SOCKET}"), "version"]) {
            return skip("no docker answers at its usual socket");
        }
        Self::new(SOCKET, ["docker", "-H", &format!("unix://{SOCKET}")].map(Into::into).into(), registries)
    }

    pub fn new(socket: &str, client: Vec<String>, registries: BTreeMap<String, Credentials>) -> Option<Self> {
        let rootfs = rootfs()?;
        let agent = unique();
        let folder = tempfile::tempdir().expect("a directory");
        let words: Vec<&str> = client.iter().map(String::as_str).collect();
        // Tests begin together, and a message makes each image another one.
        let tag = format!("{agent}:1");
        // The label is for commands that shall meet no other images.
        let label = format!("LABEL test={agent}");
        let import = [&words[..], &["import", "-m", &agent, "-c", &label, "-", &tag]].concat();
        let image = text(&feed(&import, &rootfs));
        let image = if image.contains(':') { image } else { format!("sha256:{image}") };
        let engine = Engine::new(Config {
            address: Some(format!("unix://{socket}")),
            agent: agent.clone(),
            registries,
            state_dir: folder.path().to_owned(),
        });
        Some(Self { engine, agent, image, folder, client })
    }

    /// What the engine's own command line begins with.
    pub fn words(&self) -> Vec<String> {
        self.client.clone()
    }

    /// The engine's own command line.
    pub fn client(&self, words: &[&str]) -> Output {
        let client = self.client.iter().map(String::as_str);
        run(&client.chain(words.iter().copied()).collect::<Vec<_>>())
    }

    /// The same, which has to succeed.
    pub fn does(&self, words: &[&str]) -> String {
        let output = self.client(words);
        assert!(output.status.success(), "{words:?}: {}", String::from_utf8_lossy(&output.stderr));
        text(&output)
    }

    pub fn owner(&self, uuid: &str) -> Owner {
        Owner {
            uuid: uuid.into(),
            instance_id: "instance".into(),
            backend: BACKEND.into(),
            order: "order-1".into(),
            record: r#"{"a":1}"#.into(),
        }
    }

    pub fn spec(&self, command: &[&str]) -> Spec {
        Spec {
            image: self.image.clone(),
            name: unique(),
            command: command.iter().map(|word| (*word).to_owned()).collect(),
            network: Some("none".into()),
            restart: "no".into(),
            init: true,
            ..Spec::default()
        }
    }

    pub async fn create(&self, uuid: &str, command: &[&str]) -> String {
        self.create_with(uuid, &self.spec(command)).await
    }

    pub async fn create_with(&self, uuid: &str, spec: &Spec) -> String {
        self.engine.create(&self.owner(uuid), spec, &limits()).await.expect("created")
    }

    pub async fn started(&self, uuid: &str, command: &[&str]) -> String {
        let id = self.create(uuid, command).await;
        self.engine.start(&id).await.expect("started");
        id
    }

    pub async fn info(&self, id: &str) -> Info {
        self.engine.inspect(id, BACKEND).await.expect("inspected").expect("there")
    }

    /// Looks until it is so.
    pub async fn until(&self, id: &str, what: &str, is: impl Fn(&Info) -> bool) -> Info {
        let end = Instant::now() + PATIENCE;
        loop {
            let info = self.info(id).await;
            if is(&info) {
                return info;
            }
            assert!(Instant::now() < end, "{what}: {info:?}");
            sleep(Duration::from_millis(50)).await;
        }
    }

    pub async fn ended(&self, id: &str) -> Info {
        self.until(id, "ended", |info| info.state == "exited").await
    }

    /// Until the engine itself says that this befell the container.
    pub async fn wait_for_event(&self, id: &str, event: &str) {
        let end = Instant::now() + PATIENCE;
        let filters = [format!("container={id}"), format!("event={event}")];
        let words =
            ["events", "--since", "10m", "--until", "0s", "--filter", &filters[0], "--filter", &filters[1]];
        while self.does(&words).is_empty() {
            assert!(Instant::now() < end, "no {event} of {id}");
            sleep(Duration::from_millis(100)).await;
        }
    }
}

impl Drop for Board {
    fn drop(&mut self) {
        let made = self.client(&["ps", "-aq", "--filter", &format!("label=cardcage.agent={}", self.agent)]);
        for id in text(&made).split_whitespace() {
            self.client(&["rm", "-f", "-v", id]);
        }
        let made = self.client(&["images", "-q", "--filter", &format!("label=test={}", self.agent)]);
        for id in text(&made).split_whitespace() {
            self.client(&["rmi", "-f", id]);
        }
    }
}

/// A way to an archive, as often as it is wanted.
pub type Open = Box<dyn Fn() -> std::io::Result<Box<dyn Read + Send>> + Send>;

pub fn opened(bytes: Vec<u8>) -> Open {
    Box::new(move || Ok(Box::new(Cursor::new(bytes.clone()))))
}

pub fn limits() -> Limits {
    Limits { cores: Vec::new(), shares: None, memory: 64 << 20, gpus: Vec::new() }
}

/// A name that nothing else on this machine has.
pub fn unique() -> String {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    format!("cardcage-test-{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed))
}

/// Says why a test does nothing.
pub fn skip<T>(reason: &str) -> Option<T> {
    let is_ci = std::env::var_os("CARDCAGE_CI").is_some_and(|value| !value.is_empty());
    assert!(!is_ci, "{reason}, and CARDCAGE_CI is set");
    eprintln!("skipped: {reason}");
    None
}

pub fn run(words: &[&str]) -> Output {
    Command::new(words[0]).args(&words[1..]).stdin(Stdio::null()).output().expect("the command runs")
}

pub fn succeeds(words: &[&str]) -> bool {
    Command::new(words[0])
        .args(&words[1..])
        .stdin(Stdio::null())
        .output()
        .is_ok_and(|output| output.status.success())
}

pub fn text(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).trim().to_owned()
}

pub fn feed(words: &[&str], input: &[u8]) -> Output {
    let mut child = Command::new(words[0])
        .args(&words[1..])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the command runs");
    child.stdin.take().expect("its input").write_all(input).expect("fed");
    let output = child.wait_with_output().expect("it ends");
    assert!(output.status.success(), "{words:?}: {}", String::from_utf8_lossy(&output.stderr));
    output
}

/// Whether a 64-bit program of this machine asks for a dynamic linker.
fn has_interpreter(program: &[u8]) -> bool {
    const INTERPRETER: [u8; 4] = 3_u32.to_ne_bytes();
    let number = |at: usize| usize::from(u16::from_ne_bytes([program[at], program[at + 1]]));
    let (first, size, count) = (number(0x20), number(0x36), number(0x38));
    (0..count).any(|header| program[first + header * size..].starts_with(&INTERPRETER))
}

/// A root file system of one static program under all its names.
pub fn rootfs() -> Option<Vec<u8>> {
    let Ok(program) = std::fs::read("/bin/busybox") else { return skip("no /bin/busybox") };
    if has_interpreter(&program) {
        return skip("/bin/busybox is not static");
    }
    let mut tar = tar::Builder::new(Vec::new());
    for folder in ["bin/", "tmp/", "proc/", "sys/", "dev/", "etc/"] {
        let mut header = tar::Header::new_gnu();
        header.set_entry_type(tar::EntryType::Directory);
        header.set_mode(0o755);
        header.set_size(0);
        tar.append_data(&mut header, folder, std::io::empty()).expect("written");
    }
    let mut header = tar::Header::new_gnu();
    header.set_mode(0o755);
    header.set_size(program.len() as u64);
    tar.append_data(&mut header, "bin/busybox", &program[..]).expect("written");
    for name in text(&run(&["/bin/busybox", "--list"])).lines().filter(|name| *name != "busybox") {
        let mut header = tar::Header::new_gnu();
        header.set_entry_type(tar::EntryType::Symlink);
        header.set_size(0);
        tar.append_link(&mut header, format!("bin/{name}"), "busybox").expect("written");
    }
    Some(tar.into_inner().expect("written"))
}
