//! Asks the controller for a resource.

use core::time::Duration;

use cardcage_sdk::http::{Client, Fault, HttpError, Request};
use serde_json::Value;

/// A connection, an answer, or a pause in it that takes longer is given up: the agent gives a call a second and a half.
const PATIENCE: Duration = Duration::from_secs(1);

/// Where the controller is, and who asks it.
pub(crate) struct Bmc {
    pub(crate) url: String,
    pub(crate) user: String,
    pub(crate) password: String,
}

impl Bmc {
    /// The resource at a path, which the controller said itself.
    pub(crate) fn get(&self, client: &impl Client, path: &str) -> Result<Value, HttpError> {
        // A path alone: no resource leads to another host.
        let path = path.split('#').next().filter(|path| path.starts_with('/'));
        let path = path.ok_or_else(|| HttpError::new(Fault::Content, "a link that is no path"))?;
        let mut request = Request::get(&format!("{}{path}", self.url.trim_end_matches('/')))?;
        if !self.user.is_empty() {
            request = request.basic_auth(&self.user, &self.password);
        }
        client.send(&request.header("accept", "application/json").timeout(PATIENCE))?.ok()?.json()
    }
}

/// Whether it is the controller that cannot be asked, not the one resource.
pub(crate) fn is_of_all(error: &HttpError) -> bool {
    let of_one = [Fault::Content, Fault::TooLarge, Fault::Broken, Fault::Request];
    !of_one.contains(&error.fault) && !matches!(error.fault, Fault::Status(status) if status != 401)
}
