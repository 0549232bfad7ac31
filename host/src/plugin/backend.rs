//! One call of a deploy backend: an instance of its own, `configure`, the function, the end.
//!
//! A call may take long, because fetching and starting do; what is bounded is what the guest computes between two calls
//! of a capability, and the whole.

use std::time::{Duration, Instant};

use tokio::time::timeout;
use wasmtime::UpdateDeadline;
use wasmtime::component::Component;

use super::bindings::cardcage::types::errors::Error;
use super::bindings::deploy::cardcage::types::deployment as wit;
use super::bindings::deploy::{Backend, BackendPre};
use super::instance::{CallError, Capabilities, State, ended, store};
use super::runtime::Runtime;
use super::{contract, convert};
use crate::capability::deploys::{BREATH, CALLS};
use crate::deploy::{Fault, Found, Id, Order};
use crate::model::{InstanceState, Usage};

/// The longest call of each kind. `start` fetches.
const CHECK: Duration = Duration::from_secs(5);
const START: Duration = Duration::from_secs(60 * 60);
const STOP: Duration = Duration::from_secs(10 * 60);
const SURVEY: Duration = Duration::from_secs(90);
/// Instances that one survey may name: as many deployments as there may be. What is cut off would be taken for gone.
const INSTANCES: usize = 4096;

/// A backend whose imports were matched with what the agent has.
#[derive(Clone)]
pub struct LinkedBackend(BackendPre<State>);

/// What is asked.
pub(super) enum Question<'a> {
    Check(&'a Order),
    Start(&'a Order),
    Stop(&'a Order),
    Survey,
}

/// What is answered.
pub(super) enum Answer {
    Done,
    Started(Found),
    Surveyed(Vec<Found>),
}

impl LinkedBackend {
    pub(super) fn new(runtime: &Runtime, component: &Component, imports: &[String]) -> Result<Self, String> {
        let linked = runtime.link(component, imports);
        let linked = linked.and_then(|linked| BackendPre::new(linked).map_err(|error| format!("{error:#}")));
        linked.map(Self).map_err(|reason| contract::does_not_fit(imports, &reason))
    }

    /// Asks one question of a new instance.
    pub(super) async fn ask(
        &self,
        runtime: &Runtime,
        capabilities: Capabilities,
        settings: &str,
        question: Question<'_>,
    ) -> Result<Answer, Fault> {
        let longest = match question {
            Question::Check(_) => CHECK,
            Question::Start(_) => START,
            Question::Stop(_) => STOP,
            Question::Survey => SURVEY,
        };
        let mut store = store(runtime, capabilities, longest);
        store.data_mut().deploys.breathe();
        // A tick gives way to the others; computing without a pause ends the call.
        store.epoch_deadline_callback(|store| match Instant::now() < store.data().deploys.deadline {
            true => Ok(UpdateDeadline::Yield(1)),
            false => Ok(UpdateDeadline::Interrupt),
        });
        let _running = runtime.running();
        let call = async {
            let backend = self.0.instantiate_async(&mut store).await?;
            let deployer = backend.cardcage_deploy_deployer();
            if let Err(error) = deployer.call_configure(&mut store, settings).await? {
                return Ok(Err(error));
            }
            answer(&backend, &mut store, question).await
        };
        let answered = timeout(longest, call).await;
        let failed = |error: CallError| Fault::new("failed", format!("the backend {error}"));
        match answered {
            Ok(Ok(Ok(answer))) => Ok(answer),
            Ok(Ok(Err(error))) => {
                Err(Fault { code: convert::text(error.code, 64), detail: convert::text(error.detail, 1024) })
            }
            Ok(Err(error)) => Err(failed(match ended(&store, &error, longest) {
                CallError::Deadline(_) if store.data().deploys.is_restless() => CallError::Restless(CALLS),
                CallError::Deadline(_) => CallError::Breathless(BREATH),
                error => error,
            })),
            Err(_) => Err(failed(CallError::Deadline(longest))),
        }
    }
}

type Answered = Result<Answer, Error>;

async fn answer(
    backend: &Backend,
    store: &mut wasmtime::Store<State>,
    question: Question<'_>,
) -> wasmtime::Result<Answered> {
    let deployer = backend.cardcage_deploy_deployer();
    Ok(match question {
        Question::Check(order) => deployer.call_check(store, &into_wit(order)).await?.map(|()| Answer::Done),
        Question::Stop(order) => deployer.call_stop(store, &into_wit(order)).await?.map(|()| Answer::Done),
        Question::Start(order) => deployer
            .call_start(store, &into_wit(order))
            .await?
            .map(|instance| Answer::Started(found(instance))),
        Question::Survey => deployer.call_survey(store).await?.and_then(surveyed),
    })
}

fn surveyed(instances: Vec<wit::Instance>) -> Answered {
    match instances.len() {
        0..=INSTANCES => Ok(Answer::Surveyed(instances.into_iter().map(found).collect())),
        count => Err(Error::new("too-large", format!("{count} instances, of which {INSTANCES} are taken"))),
    }
}

fn into_wit(order: &Order) -> wit::Order {
    wit::Order {
        uuid: order.uuid.clone(),
        instance_id: order.instance_id.clone(),
        index: order.index,
        name: order.name.clone(),
        url: order.url.clone(),
        file: order.file.clone(),
        options: order.options.clone(),
        requirements: wit::Requirements {
            cores: order.requirements.cores,
            memory: order.requirements.memory,
            gpus: order.requirements.gpus,
        },
        digest: order.digest(),
    }
}

/// Bounded: this goes into records and reports.
fn found(instance: wit::Instance) -> Found {
    let wit::Usage { cpu_load, memory_used, memory_limit, network_rx, network_tx } = instance.usage;
    Found {
        // A uuid that is longer than any that was ordered is of no deployment.
        uuid: convert::text(instance.uuid, 256),
        id: match instance.id {
            wit::Id::Text(text) => Id::Text(convert::text(text, 256)),
            wit::Id::Number(number) => Id::Number(number),
        },
        name: convert::text(instance.name, 256),
        state: InstanceState::from_word(&instance.state),
        reason: instance.reason.map(|reason| convert::text(reason, 1024)),
        usage: Usage {
            cpu_load: cpu_load.filter(|load| load.is_finite() && *load >= 0.0),
            memory_used,
            memory_limit,
            network_rx,
            network_tx,
        },
        record: None,
    }
}
