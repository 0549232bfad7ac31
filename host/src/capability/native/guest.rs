//! The guest's side of `cardcage:host/native`: words there and back, with the deadline of the plugin's call.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use cardcage_native::{Argument, Function, Handle, Library, Native as Helper, Outcome, Signature};
use tokio::time::Instant;
use wasmtime::component::{Resource, ResourceTable};

use crate::capability::Patience;
use crate::plugin::bindings::cardcage::host::native as wit;
use crate::plugin::bindings::cardcage::types::errors::Error;

/// Libraries and functions that an instance holds.
const HELD: usize = 512;
/// For calls of a start-up code that nobody timed.
const DEADLINE: Duration = Duration::from_secs(1);

/// The native libraries, for one instance.
pub struct Native {
    /// Of the plugin. The grant is asked in it, before anything is sent, and again in the helper. None for backends, and on
    /// a recorded board.
    helper: Option<Arc<Helper>>,
    patience: Patience,
    held: ResourceTable,
}

impl Native {
    pub fn new(helper: Option<Arc<Helper>>, patience: Patience) -> Self {
        let mut held = ResourceTable::new();
        held.set_max_capacity(HELD);
        Self { helper, patience, held }
    }

    /// The helper, and until when it may take: the plugin shall see `late`, and not be ended for it.
    fn helper(&self) -> Result<(Arc<Helper>, Instant), Error> {
        let absent = || Error::new("absent", "a recorded board has no native libraries");
        let helper = self.helper.clone().ok_or_else(absent)?;
        let until = self.patience.until().map_or_else(|| Instant::now() + DEADLINE, Instant::from_std);
        Ok((helper, until))
    }

    fn hold<T: Send + 'static>(&mut self, what: T) -> Result<Resource<T>, Error> {
        let full = |_| Error::new("too-large", format!("at most {HELD} libraries and functions are held"));
        self.held.push(what).map_err(full)
    }

    /// Calls a function.
    pub async fn outcome(
        &mut self,
        function: Resource<Function>,
        arguments: Vec<wit::Argument>,
    ) -> Result<Outcome, Error> {
        let (helper, until) = self.helper()?;
        let function = self.held(&function)?;
        let arguments: Vec<Argument> = arguments.into_iter().map(Into::into).collect();
        Ok(helper.call(&function, &arguments, until).await?)
    }

    /// A handle that is not in the table cannot come from a guest: the runtime checks handles.
    fn held<T: Clone + 'static>(&self, of: &Resource<T>) -> Result<T, Error> {
        self.held.get(of).cloned().map_err(|error| Error::new("invalid", error.to_string()))
    }
}

impl wit::Host for Native {
    async fn forget(&mut self, handle: u64) -> Result<(), Error> {
        let (helper, until) = self.helper()?;
        Ok(helper.forget(Handle::from_number(handle), until).await?)
    }
}

impl wit::HostLibrary for Native {
    async fn open(&mut self, name: String) -> Result<Resource<Library>, Error> {
        let (helper, until) = self.helper()?;
        let library = helper.open(&name, until).await?;
        self.hold(library)
    }

    async fn function(
        &mut self,
        library: Resource<Library>,
        symbol: String,
        parameters: Vec<wit::Parameter>,
        returns: wit::Returns,
    ) -> Result<Resource<Function>, Error> {
        let (helper, until) = self.helper()?;
        let library = self.held(&library)?;
        let parameters = parameters.into_iter().map(Into::into).collect();
        let signature = Signature { parameters, returns: returns.into() };
        let function = helper.function(&library, &symbol, signature, until).await?;
        self.hold(function)
    }

    async fn drop(&mut self, library: Resource<Library>) -> wasmtime::Result<()> {
        self.held.delete(library)?;
        Ok(())
    }
}

impl wit::HostFunction for Native {
    async fn call(
        &mut self,
        function: Resource<Function>,
        arguments: Vec<wit::Argument>,
    ) -> Result<wit::Outcome, Error> {
        Ok(self.outcome(function, arguments).await?.into())
    }

    async fn drop(&mut self, function: Resource<Function>) -> wasmtime::Result<()> {
        self.held.delete(function)?;
        Ok(())
    }
}

impl fmt::Debug for Native {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        to.debug_struct("Native").field("helper", &self.helper).finish_non_exhaustive()
    }
}
