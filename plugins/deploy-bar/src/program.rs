//! What is run of a package.

use alloc::string::ToString as _;

use cardcage_bar::Manifest;
use cardcage_sdk::processes::{Health, Program};

pub(crate) fn of(manifest: &Manifest) -> Program {
    Program {
        name: manifest.name.clone(),
        command: manifest.command.clone(),
        environment: manifest.env.clone().into_iter().collect(),
        user: manifest.user.clone(),
        stop_signal: manifest.stop_signal.clone(),
        stop_grace: manifest.stop_grace,
        restart: manifest.restart.word().to_string(),
        health: manifest.health.as_ref().map(|health| Health {
            command: health.command.clone(),
            every: health.every,
            timeout: health.timeout,
            retries: health.retries,
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_package_becomes_a_program() {
        let text = "name = \"radar\"\nversion = \"1\"\ncommand = [\"bin/radar\", \"--scan\"]\nrestart = \"always\"\n\
                    [env]\nMODE = \"scan\"\n[health]\ncommand = [\"bin/check\"]\nretries = 2";
        let program = of(&Manifest::parse(text).unwrap());
        assert_eq!((program.name.as_str(), program.restart.as_str()), ("radar", "always"));
        assert_eq!(program.command, ["bin/radar", "--scan"]);
        assert_eq!(program.environment, [("MODE".to_string(), "scan".to_string())]);
        assert_eq!(
            program.health.map(|health| (health.every, health.timeout, health.retries)),
            Some((10, 5, 2))
        );
    }
}
