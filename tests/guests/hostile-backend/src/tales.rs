//! What is not so: instances, texts and numbers that nobody should believe.

use cardcage_sdk::deploy::{Id, Instance, State, Usage};

/// Takes a mebibyte after the other, and touches it.
pub(crate) fn allocate() -> ! {
    let mut hoard: Vec<Vec<u8>> = Vec::new();
    loop {
        hoard.push(vec![1; 1 << 20]);
        std::hint::black_box(&hoard);
    }
}

/// Clears a screen and forges a line, at length.
pub(crate) fn long(instance: Instance) -> Instance {
    let text = format!("\x1b[2J\nERROR forged {}", "长".repeat(100_000));
    Instance { name: text.clone(), reason: Some(text), ..instance }
}

pub(crate) fn not_finite(mut found: Vec<Instance>) -> Vec<Instance> {
    for (instance, load) in found.iter_mut().zip([f64::NAN, f64::INFINITY, -1.0].into_iter().cycle()) {
        instance.usage = Usage { cpu_load: Some(load), memory_used: Some(u64::MAX), ..Usage::default() };
    }
    found
}

pub(crate) fn invented(count: usize) -> Vec<Instance> {
    (0..count).map(|number| made_up(&format!("invented-{number:04}"), State::Running)).collect()
}

pub(crate) fn anothers(uuid: &str) -> Vec<Instance> {
    vec![made_up(uuid, State::Failed)]
}

fn made_up(uuid: &str, state: State) -> Instance {
    Instance {
        uuid: uuid.into(),
        id: Id::Number(1),
        name: uuid.into(),
        state: state.word().into(),
        reason: None,
        usage: Usage::default(),
    }
}
