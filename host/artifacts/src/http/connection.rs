//! Between the socket and what is read from it: a wait for bytes is cut into slices, so that a caller who gives up is
//! heard at once and not at the deadline. Connecting itself is not cut; it has the shortest deadline.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use ureq::unversioned::transport::time::Duration as Wait;
use ureq::unversioned::transport::{Buffers, ConnectionDetails, Connector, NextTimeout, Transport};
use ureq::{Error, Timeout};

/// How long a caller who gives up may wait to be heard.
pub(super) const SLICE: Duration = Duration::from_millis(100);

/// Puts [`Watched`] around a connection.
#[derive(Debug)]
pub(super) struct Watch {
    pub(super) cancelled: Arc<AtomicBool>,
}

impl<In: Transport> Connector<In> for Watch {
    type Out = Watched<In>;

    fn connect(&self, _: &ConnectionDetails<'_>, chained: Option<In>) -> Result<Option<Watched<In>>, Error> {
        Ok(chained.map(|inner| Watched { inner, cancelled: Arc::clone(&self.cancelled) }))
    }
}

#[derive(Debug)]
pub(super) struct Watched<In> {
    inner: In,
    cancelled: Arc<AtomicBool>,
}

impl<In: Transport> Transport for Watched<In> {
    fn buffers(&mut self) -> &mut dyn Buffers {
        self.inner.buffers()
    }

    fn transmit_output(&mut self, amount: usize, timeout: NextTimeout) -> Result<(), Error> {
        self.inner.transmit_output(amount, timeout)
    }

    fn await_input(&mut self, timeout: NextTimeout) -> Result<bool, Error> {
        // The shorter of the deadline and the wait for one read; both end here.
        let timeout = timeout.for_read();
        let started = Instant::now();
        loop {
            if self.cancelled.load(Ordering::Relaxed) {
                return Err(Error::Other("given up".into()));
            }
            let left = timeout.after.saturating_sub(started.elapsed());
            if left.is_zero() {
                return Err(Error::Timeout(timeout.reason));
            }
            let mut slice = timeout;
            slice.after = Wait::Exact(left.min(SLICE));
            slice.reason = Timeout::PerRead;
            slice.per_read = None;
            match self.inner.await_input(slice) {
                Err(Error::Timeout(_)) => {}
                other => return other,
            }
        }
    }

    fn is_open(&mut self) -> bool {
        self.inner.is_open()
    }

    fn is_tls(&self) -> bool {
        self.inner.is_tls()
    }
}
