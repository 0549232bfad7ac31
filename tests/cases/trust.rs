//! Signatures: who may bring plugins to a board, and how a vendor signs.

use std::process::{Command, Output};

use cardcage_signature::{Encoding, PublicKey, SecretKey, sign, verify};
use cardcage_tests::{HOSTILE, World, executable, until};

use crate::folder::{forged, packed};
use crate::siege::Siege;

fn signed(plugin: &[u8], key: &SecretKey) -> Vec<u8> {
    sign(plugin, key).unwrap()
}

/// An agent that trusts what is written here, with this in the folder. The neighbour is signed.
fn siege(trust: &str, extra: &str, plugin: Vec<u8>, key: &SecretKey) -> Siege {
    let neighbour = signed(&cardcage_tests::ACME_BOARD.packed(), key);
    Siege::with(|plan| {
        let trust = trust.replace("KEY", &key.public().to_string());
        let extra = extra.replace("KEY", &key.public().to_string());
        plan.plugin("acme-board.wasm", neighbour)
            .plugin("hostile.wasm", plugin)
            .config(&format!("{trust}\n{extra}"))
    })
}

#[track_caller]
fn check_refused(trust: &str, plugin: Vec<u8>, key: &SecretKey, reason: &str) {
    let siege = siege(trust, "", plugin, key);
    let refused = siege.agent.until_plugin("hostile", "refused").reason.unwrap();
    assert!(refused.contains(reason), "{refused}");
    siege.answers();
}

#[test]
fn what_a_trusted_key_signed_runs_and_says_so() {
    let key = SecretKey::generate().unwrap();
    let plugin = signed(&HOSTILE.packed(), &key);
    let siege = siege("trust = [{ key = \"KEY\", name = \"ACME\" }]", "", plugin, &key);
    siege.agent.until_plugin("hostile", "ready");
    let list = String::from_utf8(siege.agent.output(&["plugin", "list"]).stdout).unwrap();
    let vouched = format!("signed by ACME ({})", key.public().id());
    assert_eq!(list.matches(&vouched).count(), 2, "{list}");
    // An unsigned file does not replace a signed one.
    let file = siege.agent.folder().join("plugins/hostile.wasm");
    std::fs::write(file, packed("6.6.6", "6.6.7")).unwrap();
    until("the unsigned file is kept out", || {
        let plugin = siege.agent.until_plugin("hostile", "ready");
        assert_eq!(plugin.version, "6.6.6");
        plugin.replacement?.reason?.contains("not signed").then_some(())
    });
}

#[test]
fn what_no_trusted_key_signed_is_refused() {
    let [key, stranger] = [0, 1].map(|_| SecretKey::generate().unwrap());
    let trust = "trust = [\"KEY\"]";
    check_refused(trust, HOSTILE.packed(), &key, "`cardcage-agent plugin sign` signs");
    check_refused(trust, signed(&HOSTILE.packed(), &stranger), &key, &stranger.public().id().to_string());
    let changed = forged(&signed(&HOSTILE.packed(), &key), "6.6.6", "6.6.7");
    check_refused(trust, changed, &key, "policy asks for the signature");
}

#[test]
fn a_key_is_good_for_the_plugins_and_capabilities_that_it_is_bound_to() {
    let key = SecretKey::generate().unwrap();
    let plugin = || signed(&HOSTILE.packed(), &key);
    let others = "trust = [{ key = \"KEY\", plugins = [\"acme-*\"] }]";
    check_refused(others, plugin(), &key, "is trusted for plugins named acme-* only");
    let less = "trust = [{ key = \"KEY\", capabilities = [\"http\"] }]";
    check_refused(less, plugin(), &key, "is not trusted with the capability files");
}

#[test]
fn a_warning_is_enough_where_the_operator_says_so() {
    let key = SecretKey::generate().unwrap();
    let mut siege = siege("trust = [\"KEY\"]\npolicy = \"warn\"", "", HOSTILE.packed(), &key);
    siege.agent.until_plugin("hostile", "ready");
    siege.agent.process.until_log("plugin runs, though no trusted key vouches for it plugin=hostile");
    let list = String::from_utf8(siege.agent.output(&["plugin", "list"]).stdout).unwrap();
    assert!(list.contains("not trusted: "), "{list}");
}

#[test]
fn a_grant_can_be_for_what_one_key_signed() {
    let [key, stranger] = [0, 1].map(|_| SecretKey::generate().unwrap());
    let grant = "[plugins.grants.hostile]\nsigner = \"KEY\"";
    let good = siege("", grant, signed(&HOSTILE.packed(), &key), &key);
    good.agent.until_plugin("hostile", "ready");
    let bad = siege("", grant, signed(&HOSTILE.packed(), &stranger), &key);
    let reason = bad.agent.until_plugin("hostile", "refused").reason.unwrap();
    assert!(reason.contains("the grant is for what") && reason.contains("signed"), "{reason}");
}

/// In a folder of its own, as a vendor sits in one.
fn command(folder: &std::path::Path, arguments: &[&str]) -> Output {
    Command::new(executable("cardcage-agent")).args(arguments).current_dir(folder).output().unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

#[test]
fn a_vendor_makes_a_key_signs_and_verifies() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    std::fs::write(folder.join("acme.wasm"), HOSTILE.packed()).unwrap();
    let made = command(folder, &["plugin", "keygen"]);
    assert!(made.status.success(), "{made:?}");
    let said = text(&made.stdout);
    let public = said.split('"').find(|part| part.starts_with("ed25519:")).unwrap();
    let key: PublicKey = public.parse().unwrap();
    let named = format!("{public} ({})", key.id());
    assert!(said.ends_with(&format!("trust = [\"{public}\"] # id {}\n", key.id())), "{said}");
    let mode = std::os::unix::fs::MetadataExt::mode(&folder.join("plugin-key.pem").metadata().unwrap());
    assert_eq!(mode & 0o777, 0o600);
    // Not over a key that is there.
    assert!(!command(folder, &["plugin", "keygen"]).status.success());
    let verified = command(folder, &["plugin", "verify", "acme.wasm", "--key", public]);
    assert!(text(&verified.stderr).contains("not signed"), "{verified:?}");
    let signing = command(folder, &["plugin", "sign", "acme.wasm", "--key", "plugin-key.pem"]);
    assert_eq!(text(&signing.stdout), format!("acme.wasm is signed by {named}\n"));
    let verified = command(folder, &["plugin", "verify", "acme.wasm", "--key", public]);
    assert_eq!(text(&verified.stdout), format!("hostile 6.6.6 is signed by {named}\n"));
    assert!(verify(&std::fs::read(folder.join("acme.wasm")).unwrap(), Encoding::Component, [&key]).is_ok());
    // The configuration says whom to trust.
    let config = folder.join("agent.toml");
    std::fs::write(&config, format!("[plugins]\ntrust = [{public:?}]")).unwrap();
    let config = config.to_str().unwrap();
    assert!(command(folder, &["plugin", "verify", "acme.wasm", "--config", config]).status.success());
    let nobody = command(folder, &["plugin", "verify", "acme.wasm"]);
    assert!(text(&nobody.stderr).contains("no key to verify with"), "{nobody:?}");
    // A stranger's key, and things that are no keys and no plugins.
    assert!(command(folder, &["plugin", "keygen", "--output", "other.pem"]).status.success());
    let other = command(folder, &["plugin", "verify", "acme.wasm", "--key", "other.pem"]);
    assert!(!other.status.success() && text(&other.stderr).contains("secret"), "{other:?}");
    std::fs::write(folder.join("text"), "hello").unwrap();
    let no_plugin = command(folder, &["plugin", "sign", "text", "--key", "plugin-key.pem"]);
    assert!(!no_plugin.status.success(), "{no_plugin:?}");
    assert!(
        text(&no_plugin.stderr).ends_with("text is no plugin: not a WebAssembly file\n"),
        "{no_plugin:?}"
    );
    assert!(!command(folder, &["plugin", "sign", "acme.wasm", "--key", "text"]).status.success());
}

#[test]
fn verify_with_a_configuration_asks_what_the_agent_asks() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let key = SecretKey::generate().unwrap();
    std::fs::write(folder.join("hostile.wasm"), signed(&HOSTILE.packed(), &key)).unwrap();
    let key = key.public();
    let verify = |plugins: &str| {
        let plugins = plugins.replace("KEY", &key.to_string());
        std::fs::write(folder.join("agent.toml"), format!("[plugins]\n{plugins}\n")).unwrap();
        command(folder, &["plugin", "verify", "hostile.wasm", "--config", "agent.toml"])
    };
    let good = verify("trust = [{ key = \"KEY\", name = \"ACME\", plugins = [\"hos*\"] }]");
    assert_eq!(text(&good.stdout), format!("hostile 6.6.6 is signed by ACME, {key} ({})\n", key.id()));
    let stranger = SecretKey::generate().unwrap().public();
    let warned_of = format!("policy = \"warn\"\ntrust = [\"{stranger}\"]");
    let granted_to_another = format!("trust = [\"KEY\"]\n[plugins.grants.hostile]\nsigner = \"{stranger}\"");
    for (plugins, reason) in [
        ("trust = [{ key = \"KEY\", plugins = [\"foo-*\"] }]", "is trusted for plugins named foo-* only"),
        ("trust = [{ key = \"KEY\", capabilities = [\"http\"] }]", "not trusted with the capability files"),
        (&warned_of, "none of which is trusted here"),
        (&granted_to_another, "the grant is for what"),
    ] {
        let refused = verify(plugins);
        assert_eq!(refused.status.code(), Some(1), "{plugins}: {refused:?}");
        assert!(text(&refused.stderr).contains(reason), "{plugins}: {refused:?}");
        assert!(refused.stdout.is_empty(), "{plugins}: {refused:?}");
    }
}

#[test]
fn what_is_signed_never_takes_the_place_of_the_key() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    std::fs::write(folder.join("acme.wasm"), HOSTILE.packed()).unwrap();
    assert!(command(folder, &["plugin", "keygen", "-o", "k.pem"]).status.success());
    let key = std::fs::read(folder.join("k.pem")).unwrap();
    std::os::unix::fs::symlink("k.pem", folder.join("link.pem")).unwrap();
    std::fs::hard_link(folder.join("k.pem"), folder.join("twin.pem")).unwrap();
    for output in ["k.pem", "./k.pem", "link.pem", "twin.pem"] {
        let refused = command(folder, &["plugin", "sign", "acme.wasm", "--key", "k.pem", "-o", output]);
        assert!(!refused.status.success(), "{output}: {refused:?}");
        assert!(text(&refused.stderr).contains("is the secret key"), "{output}: {refused:?}");
        assert_eq!(std::fs::read(folder.join(output)).unwrap(), key, "{output}");
    }
}

#[test]
fn a_policy_without_a_key_is_no_configuration() {
    let world = World::new();
    let check = world.agent().config("policy = \"require\"").output(&["check"]);
    let said = text(&check.stdout) + &text(&check.stderr);
    assert!(!check.status.success() && said.contains("plugins.trust names no key"), "{said}");
}
