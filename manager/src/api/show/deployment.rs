//! Deployments, model to JSON.

use std::time::{Duration, SystemTime};

use serde_json::Value;

use super::{millis, readings};
use crate::api::types::{Deployment, DesiredState, OrderResult, Placement, Require};
use crate::clock::Clock;
use crate::deployments::Entry;
use crate::model::{self, BoardId, Desired, InstanceId, Order, Reply};

pub(in crate::api) fn deployment(entry: &Entry, clock: Clock) -> Deployment {
    let (wanted, component) = (entry.deployment.as_ref(), entry.component.as_ref());
    let order = wanted.and_then(|wanted| wanted.order.as_ref());
    let reported = |field: fn(&model::report::Component) -> &model::Text| {
        component.map(|component| field(component).to_string()).filter(|text| !text.is_empty())
    };
    let ordered_text = |field: fn(&Order) -> Option<&String>| order.and_then(field).cloned();
    let mut placement = component
        .and_then(|component| component.more.as_ref())
        .map(readings::placement)
        .unwrap_or_else(Placement::default);
    placement.kind = entry.kind().map(str::to_owned);
    Deployment {
        uuid: entry.uuid.clone(),
        board: entry.board.to_string(),
        board_state: entry.board_state.map(Into::into),
        desired: wanted.map(|wanted| match wanted.desired {
            Desired::Running => DesiredState::Running,
            Desired::Stopped => DesiredState::Stopped,
        }),
        state: component.map(|component| component.state.to_owned()),
        in_step: entry.step.in_step,
        why: entry.step.why.clone(),
        name: reported(|component| &component.name).or_else(|| ordered_text(|order| order.name.as_ref())),
        instance_id: reported(|component| &component.instance_id)
            .or_else(|| ordered_text(|order| order.instance_id.as_ref())),
        index: component.map(|component| component.index).or(order.and_then(|order| order.index)),
        url: ordered_text(|order| Some(&order.url)),
        file: ordered_text(|order| Some(&order.file)),
        require: order.map(|order| Require { cpu: order.cpu, memory: order.memory, gpu: order.gpu }),
        id: wanted
            .and_then(|wanted| wanted.id.as_ref())
            .map(id)
            .or_else(|| reported(|component| &component.id).map(Value::from)),
        ordered: wanted.map(|wanted| time_of_day(wanted.ordered)),
        outcome: wanted.and_then(|wanted| wanted.outcome).map(|outcome| outcome.name().to_owned()),
        message: wanted.map(|wanted| wanted.message.clone()).filter(|message| !message.is_empty()),
        open: wanted.is_some_and(|wanted| wanted.open),
        age_ms: entry.reported.map(|at| millis(clock.now().since(at))),
        cpu_load: component.and_then(|component| component.cpu_load),
        mem_used: component.and_then(|component| component.memory_used),
        mem_limit: component.and_then(|component| component.memory_limit),
        tx_bytes: component.and_then(|component| component.tx_bytes),
        rx_bytes: component.and_then(|component| component.rx_bytes),
        placement,
    }
}

pub(in crate::api) fn result(uuid: &str, board: Option<&BoardId>, reply: Reply, open: bool) -> OrderResult {
    OrderResult {
        board: board.map(ToString::to_string),
        uuid: uuid.to_owned(),
        id: reply.id.as_ref().map(id),
        result: reply.outcome.code(),
        outcome: reply.outcome.name().to_owned(),
        open,
        message: reply.message,
    }
}

fn id(id: &InstanceId) -> Value {
    match id {
        InstanceId::Number(number) => Value::from(*number),
        InstanceId::Text(text) => Value::from(text.as_str()),
    }
}

fn time_of_day(millis: i64) -> String {
    let since = Duration::from_millis(u64::try_from(millis).unwrap_or(0));
    let time = SystemTime::UNIX_EPOCH.checked_add(since).unwrap_or(SystemTime::UNIX_EPOCH);
    humantime::format_rfc3339_millis(time).to_string()
}
