//! Plugins and pushes, model to JSON.

use std::time::{Duration, SystemTime};

use super::{millis, owned};
use crate::api::types::{
    BoardPlugins, InstalledPlugin, Plugin, PluginCost, PluginPush, PluginReplacement, PushOutcome, PushStage,
    PushedBoard,
};
use crate::clock::Clock;
use crate::model::Text;
use crate::model::plugin::{Fate, Installed, More, Push, Replacement, Stage};
use crate::plugins::Seen;

pub(in crate::api) fn seen(seen: &Seen, clock: Clock) -> BoardPlugins {
    let board = &seen.view.board;
    let position = board.heartbeat.position;
    BoardPlugins {
        board: board.id.to_string(),
        state: board.state.into(),
        hostname: board.heartbeat.hostname.to_string(),
        box_id: position.box_id,
        slot_id: position.slot_id,
        cpu_id: position.cpu_id,
        answered: seen.why_not.is_none(),
        why_not: seen.why_not.clone(),
        last_seen_age_ms: board.last_seen.map(|last| millis(clock.now().since(last))),
        plugins: seen.plugins.iter().map(installed).collect(),
    }
}

fn installed(plugin: &Installed) -> InstalledPlugin {
    let none = More::default();
    let more = plugin.more.as_ref().unwrap_or(&none);
    InstalledPlugin {
        plugin: Plugin {
            name: plugin.name.to_string(),
            version: plugin.version.to_string(),
            digest: plugin.digest.to_string(),
            built_in: plugin.built_in,
            state: plugin.state.to_string(),
            reason: owned(plugin.reason.as_ref()),
        },
        support: owned(more.support.as_ref()),
        vendor: owned(more.vendor.as_ref()),
        trust: owned(more.trust.as_ref()),
        imports: texts(&more.imports),
        asked: texts(&more.asked),
        given: texts(&more.given),
        cost: plugin.more.as_ref().map(cost),
        readings: more.readings,
        last_error: owned(more.last_error.as_ref()),
        faults: texts(&more.faults),
        replacement: more.replacement.as_ref().map(replacement),
    }
}

fn texts(texts: &[Text]) -> Vec<String> {
    texts.iter().map(ToString::to_string).collect()
}

fn cost(more: &More) -> PluginCost {
    PluginCost {
        samples: more.samples,
        failures: more.failures,
        restarts: more.restarts,
        last_sample_ms: more.last_sample_ms,
        longest_sample_ms: more.longest_sample_ms,
        cpu_ms: more.cpu_ms,
        host_calls: more.host_calls,
        memory: more.memory,
    }
}

fn replacement(next: &Replacement) -> PluginReplacement {
    PluginReplacement {
        name: next.name.to_string(),
        version: next.version.to_string(),
        digest: next.digest.to_string(),
        state: next.state.to_string(),
        reason: owned(next.reason.as_ref()),
    }
}

pub(in crate::api) fn push(push: &Push) -> PluginPush {
    let begun = SystemTime::UNIX_EPOCH + Duration::from_millis(push.begun.max(0).unsigned_abs());
    let pushed = push.boards.iter().map(|pushed| PushedBoard {
        board: pushed.board.to_string(),
        outcome: outcome(pushed.fate),
        message: pushed.message.clone(),
    });
    PluginPush {
        id: push.id.to_string(),
        file: push.file.clone(),
        digest: push.digest.clone(),
        bytes: push.bytes,
        group: push.group.clone(),
        max_failures: push.max_failures,
        begun: humantime::format_rfc3339_millis(begun).to_string(),
        stage: match push.stage {
            Stage::Canary => PushStage::Canary,
            Stage::Rolling => PushStage::Rolling,
            Stage::Done => PushStage::Done,
            Stage::Stopped => PushStage::Stopped,
        },
        why: push.why.clone(),
        boards: pushed.collect(),
        left_out: Vec::new(),
        more_left_out: 0,
    }
}

const fn outcome(fate: Fate) -> PushOutcome {
    match fate {
        Fate::Waiting => PushOutcome::Waiting,
        Fate::UnderWay => PushOutcome::UnderWay,
        Fate::Running => PushOutcome::Running,
        Fate::Idle => PushOutcome::Idle,
        Fate::Refused => PushOutcome::Refused,
        Fate::Failed => PushOutcome::Failed,
        Fate::NoAnswer => PushOutcome::NoAnswer,
        Fate::NotBegun => PushOutcome::NotBegun,
    }
}
