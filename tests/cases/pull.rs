//! Plugins out of a container registry, a real one, into the folder of a board.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Output;

use cardcage_signature::{SecretKey, sign};
use cardcage_tests::{ASKS_HTTP, Door, HOSTILE, Registry, USER, World, executable, sha256, typed_as};
use serde_json::Value;

use crate::folder::packed;

/// Largest plugin, in bytes.
const LIMIT: usize = 64 << 20;

/// A board's files and a registry; no agent runs unless the test starts one.
struct Shop {
    world: World,
    registry: Registry,
    plugins: PathBuf,
    config: PathBuf,
}

impl Shop {
    fn open(door: &Door, config: &str) -> Option<Self> {
        Self::furnish(World::new(), door, config)
    }

    fn furnish(world: World, door: &Door, config: &str) -> Option<Self> {
        let registry =
            Registry::start("plugins from a registry", &world.place("registry"), "registry", door)?;
        let (state, file) = (world.place("state"), world.folder().join("agent.toml"));
        let config = config.replace("REGISTRY", &registry.at.to_string());
        fs::write(&file, format!("state_dir = {state:?}\n{config}")).unwrap();
        let plugins = world.place("state/plugins");
        Some(Self { world, registry, plugins, config: file })
    }

    fn push(&self, plugin: &[u8], to: &str) -> String {
        self.registry.push(&self.world.place("layout"), plugin, to)
    }

    fn pull(&self, rest: &str, more: &[&str]) -> Output {
        let reference = format!("{}/{rest}", self.registry.at);
        self.run(&[&[reference.as_str()], more].concat())
    }

    fn run(&self, words: &[&str]) -> Output {
        let mut command = std::process::Command::new(executable("cardcage-agent"));
        command.args(["plugin", "pull", "--config"]).arg(&self.config).args(words);
        command.current_dir(self.world.folder()).output().unwrap()
    }

    #[track_caller]
    fn pulls(&self, rest: &str, more: &[&str]) -> String {
        let done = self.pull(rest, more);
        assert!(done.status.success(), "{done:?}");
        String::from_utf8(done.stdout).unwrap()
    }

    /// Nothing comes into the folder, not even half of it.
    #[track_caller]
    fn refuses(&self, rest: &str, more: &[&str], reason: &str) {
        let before = names(&self.plugins);
        let done = self.pull(rest, more);
        let said = String::from_utf8(done.stderr).unwrap();
        assert!(!done.status.success() && said.contains(reason), "{said}");
        assert_eq!(names(&self.plugins), before);
    }

    fn file(&self, name: &str) -> Vec<u8> {
        fs::read(self.plugins.join(name)).unwrap()
    }
}

fn names(folder: &Path) -> Vec<String> {
    let entries =
        fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let mut names: Vec<_> = entries.collect();
    names.sort();
    names
}

#[test]
fn a_plugin_comes_by_its_tag_and_by_its_digest() {
    let Some(shop) = Shop::open(&Door::Open, "") else { return };
    let plugin = HOSTILE.packed();
    let digest = shop.push(&plugin, "vendor/probe:6.6.6");
    let said = shop.pulls("vendor/probe:6.6.6", &[]);
    let pinned = format!("{}/vendor/probe@sha256:{digest}", shop.registry.at);
    for part in ["hostile 6.6.6 is in ", &pinned, &format!("file      sha256:{}", sha256(&plugin))] {
        assert!(said.contains(part), "{said}");
    }
    assert!(shop.file("hostile.wasm") == plugin);
    // What it printed leads to the same, and that is there already.
    let again = shop.run(&["--json", &format!("oci://{pinned}")]);
    let told: Value = serde_json::from_slice(&again.stdout).unwrap();
    assert_eq!((told["written"].as_bool(), told["reference"].as_str()), (Some(false), Some(pinned.as_str())));
    assert_eq!(told["sha256"].as_str(), Some(sha256(&plugin).as_str()));
    // A new version takes the place of the old one.
    let newer = packed("6.6.6", "6.6.7");
    shop.push(&newer, "vendor/probe:6.6.7");
    assert!(shop.pulls("vendor/probe:6.6.7", &[]).contains("hostile 6.6.7 is in "));
    assert!(shop.file("hostile.wasm") == newer && names(&shop.plugins) == ["hostile.wasm"]);
    // Elsewhere, whatever lies in the folder.
    let elsewhere = shop.world.folder().join("elsewhere.wasm");
    shop.pulls("vendor/probe:6.6.6", &["--output", elsewhere.to_str().unwrap()]);
    assert!(fs::read(elsewhere).unwrap() == plugin && shop.file("hostile.wasm") == newer);
    // What is still to be granted is said at once.
    shop.push(&ASKS_HTTP.packed(), "vendor/asks:1");
    assert!(shop.pulls("vendor/asks:1", &[]).contains("It does not run yet: imports wasi:http"));
    // Two files of one name would be none.
    fs::rename(shop.plugins.join("hostile.wasm"), shop.plugins.join("mine.wasm")).unwrap();
    shop.refuses("vendor/probe:6.6.6", &[], "mine.wasm is the plugin hostile already");
    fs::write(shop.plugins.join("mine.wasm"), ASKS_HTTP.packed()).unwrap();
    fs::write(shop.plugins.join("hostile.wasm"), "notes").unwrap();
    shop.refuses("vendor/probe:6.6.6", &[], "hostile.wasm is there and is not the plugin hostile");
}

#[test]
fn what_is_not_what_it_should_be_is_not_written() {
    let Some(shop) = Shop::open(&Door::Open, "") else { return };
    let plugin = HOSTILE.packed();
    shop.push(&plugin, "vendor/probe:1");
    let wrong = sha256(b"another");
    shop.refuses(&format!("vendor/probe:1@sha256:{wrong}"), &[], "not there");
    shop.refuses("vendor/probe:2", &[], "look at the tag");
    shop.refuses("vendor/probe:1:2", &[], "no tag");
    shop.push(HOSTILE.component, "vendor/bare:1");
    shop.refuses("vendor/bare:1", &[], "vendor/bare:1 is no plugin: a component without a manifest");
    shop.push(&vec![0; LIMIT + 1], "vendor/large:1");
    shop.refuses("vendor/large:1", &[], "67108865 bytes, and a plugin has at most 67108864");
    // A manifest that says so little of what is stored has been changed with it.
    let blob = shop.registry.blob(&sha256(&plugin));
    let mut tampered = plugin;
    *tampered.last_mut().unwrap() ^= 1;
    fs::write(blob, &tampered).unwrap();
    shop.refuses("vendor/probe:1", &[], "what came has SHA-256");
    let nobody = shop.run(&["--plain-http", "127.0.0.1:9/vendor/probe:1"]);
    assert!(String::from_utf8(nobody.stderr).unwrap().contains("unreachable"));
}

#[test]
fn only_what_the_policy_lets_run_is_written() {
    let key = SecretKey::generate().unwrap();
    let trust = format!("[plugins]\npolicy = \"require\"\ntrust = [\"{}\"]", key.public());
    let Some(shop) = Shop::open(&Door::Open, &trust) else { return };
    shop.push(&HOSTILE.packed(), "vendor/probe:unsigned");
    shop.refuses("vendor/probe:unsigned", &[], "`cardcage-agent plugin sign` signs");
    let output = shop.world.folder().join("probe.wasm");
    let output = output.to_str().unwrap();
    shop.refuses("vendor/probe:unsigned", &["-o", output], "would not run here: not signed");
    let signed = sign(&HOSTILE.packed(), &key).unwrap();
    shop.push(&signed, "vendor/probe:signed");
    assert!(shop.pulls("vendor/probe:signed", &["-o", output]).contains("trust     signed by"));
    // A grant may be for one file.
    let other = format!("{trust}\n[plugins.grants.hostile]\nsha256 = \"{}\"", sha256(b"another"));
    fs::write(&shop.config, other).unwrap();
    shop.refuses("vendor/probe:signed", &["-o", output], "the grant is for the file with SHA-256");
}

#[test]
fn a_registry_learns_who_asks_from_the_configuration() {
    let world = World::new();
    let password = world.folder().join("password");
    fs::write(&password, USER.1).unwrap();
    fs::set_permissions(&password, Permissions::from_mode(0o600)).unwrap();
    let known =
        format!("[deploy.registries.\"REGISTRY\"]\nusername = \"user\"\npassword_file = {password:?}");
    let Some(shop) = Shop::furnish(world, &Door::Users, &known) else { return };
    shop.push(&HOSTILE.packed(), "vendor/probe:1");
    let output = shop.world.folder().join("probe.wasm");
    let output = ["-o", output.to_str().unwrap()];
    // Not by http, unless that is asked for.
    shop.refuses("vendor/probe:1", &output, "would learn the password");
    let output = [output[0], output[1], "--plain-http"];
    shop.pulls("vendor/probe:1", &output);
    fs::write(&password, "other").unwrap();
    shop.refuses("vendor/probe:1", &output, "refused with 401");
    fs::write(&shop.config, "").unwrap();
    shop.refuses("vendor/probe:1", &output, "wants to know who asks; put it into [deploy.registries.");
}

#[test]
fn a_registry_is_trusted_by_its_certificate() {
    let world = World::new();
    let [certificate, key] = ["certificate.pem", "key.pem"].map(|name| world.folder().join(name));
    let made = rcgen::generate_simple_self_signed(["127.0.0.1".to_owned()]).unwrap();
    fs::write(&certificate, made.cert.pem()).unwrap();
    fs::write(&key, made.signing_key.serialize_pem()).unwrap();
    let door = Door::Tls { certificate: certificate.clone(), key };
    let Some(shop) = Shop::furnish(world, &door, "") else { return };
    shop.push(&HOSTILE.packed(), "vendor/probe:1");
    let output = shop.world.folder().join("probe.wasm");
    let output = output.to_str().unwrap();
    shop.refuses("vendor/probe:1", &["-o", output], "certificate");
    shop.refuses("vendor/probe:1", &["-o", output, "--plain-http"], "answered with 400");
    shop.pulls("vendor/probe:1", &["-o", output, "--ca", certificate.to_str().unwrap()]);
}

#[test]
fn a_running_agent_takes_what_is_pulled() {
    let Some(shop) = Shop::open(&Door::Open, "") else { return };
    let agent = shop.world.agent().start();
    shop.push(&HOSTILE.packed(), "vendor/probe:1");
    let reference = format!("{}/vendor/probe:1", shop.registry.at);
    let done = agent.output(&["plugin", "pull", &reference]);
    assert!(done.status.success(), "{done:?}");
    agent.until_plugin("hostile", "ready");
}

/// What the guide to signing says about registries, typed. Those who push are there another client.
#[test]
fn the_guides_registry_can_be_typed() {
    const GUIDE: &str = "sdk/guide/signing.md";
    let key = SecretKey::generate().unwrap();
    let trust = format!("[plugins]\ntrust = [{{ key = \"{}\", name = \"ACME\" }}]", key.public());
    let Some(shop) = Shop::open(&Door::Open, &trust) else { return };
    let manifest = HOSTILE.manifest.replacen("\"hostile\"", "\"acme-cpld\"", 1);
    let plugin = sign(&HOSTILE.packed_with(&manifest.replacen("6.6.6", "0.1.0", 1)), &key).unwrap();
    for (client, file) in [("wkg oci push ", ""), ("oras push ", ":application/wasm")] {
        let command = typed_as(GUIDE, client).command;
        let (reference, what) = command.strip_prefix(client).unwrap().split_once(' ').unwrap();
        assert_eq!(what, format!("acme-cpld-signed.wasm{file}"));
        shop.push(&plugin, reference.strip_prefix("registry.example/").unwrap());
    }
    let pull = typed_as(GUIDE, "sudo cardcage-agent plugin pull ");
    let here = |text: &str| {
        text.replace("registry.example", &shop.registry.at.to_string())
            .replace("/etc/cardcage/agent.toml", shop.config.to_str().unwrap())
            .replace("/var/lib/cardcage/plugins", shop.plugins.to_str().unwrap())
    };
    let typed = here(&pull.command);
    let words: Vec<&str> = typed.split(' ').skip(2).collect();
    let done = std::process::Command::new(executable("cardcage-agent")).args(words).output().unwrap();
    assert!(done.status.success(), "{done:?}");
    let said = String::from_utf8(done.stdout).unwrap();
    assert_eq!(said.lines().count(), pull.says.lines().count(), "{said}");
    // Digests and the key's id are others.
    for (said, written) in said.lines().zip(here(&pull.says).lines()) {
        let same = written.split(['@', ':', '(']).next().unwrap();
        assert!(said.starts_with(same), "{said} in place of {written}");
    }
    assert!(shop.file("acme-cpld.wasm") == plugin);
}
