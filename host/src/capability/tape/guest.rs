//! The capabilities of probes, taped: what each call asks, in words that hold on another board.

use serde::Serialize;
use serde_json::Value;
use wasmtime::component::{HasData, Resource};

use super::Tape;
use crate::capability::files::Files;
use crate::capability::files::guest::Batch;
use crate::capability::kernel::Kernel;
use crate::capability::native::Native;
use crate::plugin::bindings::cardcage::host::{files, kernel, native};
use crate::plugin::bindings::cardcage::types::errors::Error;

/// A capability whose calls go through a tape.
#[derive(Debug)]
pub struct Taped<'a, T> {
    pub live: &'a mut T,
    pub tape: &'a Tape,
}

impl<T: 'static> HasData for Taped<'static, T> {
    type Data<'a> = Taped<'a, T>;
}

impl kernel::Host for Taped<'_, Kernel> {
    async fn times(&mut self) -> Result<kernel::CpuTimes, Error> {
        self.tape.call("kernel.times", self.tape.asked(()), self.live.times()).await
    }

    async fn load(&mut self) -> Result<kernel::LoadAverage, Error> {
        self.tape.call("kernel.load", self.tape.asked(()), self.live.load()).await
    }

    async fn memory(&mut self) -> Result<kernel::MemoryInfo, Error> {
        self.tape.call("kernel.memory", self.tape.asked(()), self.live.memory()).await
    }

    async fn networks(&mut self) -> Result<Vec<kernel::NetworkInterface>, Error> {
        self.tape.call("kernel.networks", self.tape.asked(()), self.live.networks()).await
    }

    async fn mounts(&mut self) -> Result<Vec<kernel::Mount>, Error> {
        self.tape.call("kernel.mounts", self.tape.asked(()), self.live.mounts()).await
    }

    async fn spaces(&mut self, mount_points: Vec<String>) -> Vec<Result<kernel::Space, Error>> {
        let asked = self.tape.asked(&mount_points);
        self.tape.call("kernel.spaces", asked, self.live.spaces(mount_points)).await
    }

    async fn system(&mut self) -> Result<kernel::SystemInfo, Error> {
        self.tape.call("kernel.system", self.tape.asked(()), self.live.system()).await
    }
}

impl files::Host for Taped<'_, Files> {
    async fn entries(&mut self, folder: String) -> Result<Vec<String>, Error> {
        let asked = self.tape.asked(&folder);
        self.tape.call("files.entries", asked, self.live.entries(folder)).await
    }

    async fn resolve(&mut self, path: String) -> Result<String, Error> {
        let asked = self.tape.asked(&path);
        self.tape.call("files.resolve", asked, self.live.resolve(path)).await
    }

    async fn read(&mut self, path: String) -> Result<String, Error> {
        let asked = self.tape.asked(&path);
        self.tape.call("files.read", asked, files::Host::read(self.live, path)).await
    }
}

impl files::HostBatch for Taped<'_, Files> {
    async fn open(&mut self, paths: Vec<String>) -> Result<Resource<Batch>, Error> {
        let asked = self.tape.asked(&paths);
        self.tape.open("files.open", asked, self.live.open(paths)).await
    }

    async fn read(&mut self, batch: Resource<Batch>) -> Vec<Result<String, Error>> {
        let asked = self.tape.of(&batch);
        self.tape.call("files.batch", asked, files::HostBatch::read(self.live, batch)).await
    }

    async fn drop(&mut self, batch: Resource<Batch>) -> wasmtime::Result<()> {
        match self.tape.close(&batch) {
            true => self.live.drop(batch).await,
            false => Ok(()),
        }
    }
}

impl native::Host for Taped<'_, Native> {
    async fn forget(&mut self, handle: u64) -> Result<(), Error> {
        self.tape.call("native.forget", self.tape.asked(handle), self.live.forget(handle)).await
    }
}

impl native::HostLibrary for Taped<'_, Native> {
    async fn open(&mut self, name: String) -> Result<Resource<cardcage_native::Library>, Error> {
        let asked = self.tape.asked(&name);
        self.tape.open("native.open", asked, self.live.open(name)).await
    }

    async fn function(
        &mut self,
        library: Resource<cardcage_native::Library>,
        symbol: String,
        parameters: Vec<native::Parameter>,
        returns: native::Returns,
    ) -> Result<Resource<cardcage_native::Function>, Error> {
        let name = |library: Value| format!("{} {symbol}", library.as_str().unwrap_or_default());
        let asked = self.tape.of(&library).map(|library| Value::from(name(library)));
        let live = self.live.function(library, symbol, parameters, returns);
        self.tape.open("native.function", asked, live).await
    }

    async fn drop(&mut self, library: Resource<cardcage_native::Library>) -> wasmtime::Result<()> {
        match self.tape.close(&library) {
            true => native::HostLibrary::drop(self.live, library).await,
            false => Ok(()),
        }
    }
}

/// A call of a function.
#[derive(Serialize)]
struct NativeCall<'a> {
    function: Value,
    arguments: &'a [native::Argument],
}

impl native::HostFunction for Taped<'_, Native> {
    async fn call(
        &mut self,
        function: Resource<cardcage_native::Function>,
        arguments: Vec<native::Argument>,
    ) -> Result<native::Outcome, Error> {
        let asked = self.tape.of(&function);
        let asked =
            asked.and_then(|function| self.tape.asked(NativeCall { function, arguments: &arguments }));
        let outcome = self.tape.call("native.call", asked, self.live.outcome(function, arguments)).await?;
        Ok(outcome.into())
    }

    async fn drop(&mut self, function: Resource<cardcage_native::Function>) -> wasmtime::Result<()> {
        match self.tape.close(&function) {
            true => native::HostFunction::drop(self.live, function).await,
            false => Ok(()),
        }
    }
}
