//! The loop: a frame in, a frame out.

use std::convert::Infallible;
use std::io::{self, Read as _, Write as _};
use std::os::unix::net::UnixStream;

use cardcage_native::limits;
use cardcage_native::protocol::{self, Answer, Reply, Request, VERSION};
use rustix::process::{Signal, getpid, kill_process};

use super::Failed;
use super::tables::Tables;

/// A frame that is read; untouched pages of it cost nothing.
struct Incoming {
    socket: UnixStream,
    buffer: Box<[u8]>,
}

impl Incoming {
    fn request(&mut self) -> Result<(u32, Request<'static>), Failed> {
        let mut filled = 0;
        loop {
            let begun = self.buffer.get(..filled).unwrap_or_default();
            if let Some(whole) = protocol::length(begun).map_err(Failed::Malformed)?
                && filled >= whole
            {
                // What follows a frame before its answer is none.
                return protocol::decode(begun).map_err(Failed::Malformed);
            }
            let rest = self.buffer.get_mut(filled..).unwrap_or_default();
            match self.socket.read(rest) {
                Ok(0) => end(),
                Ok(read) => filled += read,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(Failed::Socket(error)),
            }
        }
    }
}

/// Answers until the agent is gone.
pub fn serve(socket: UnixStream) -> Result<Infallible, Failed> {
    let mut incoming = Incoming { socket, buffer: vec![0; limits::FRAME + 4].into() };
    let (mut outgoing, mut tables) = (Vec::new(), None);
    loop {
        let (number, request) = incoming.request()?;
        let reply = answer(request, &mut tables)?;
        protocol::encode::<Reply>(&reply, number, &mut outgoing);
        match incoming.socket.write_all(&outgoing) {
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => end(),
            result => result.map_err(Failed::Socket)?,
        }
    }
}

fn answer(request: Request<'_>, tables: &mut Option<Tables>) -> Result<Reply, Failed> {
    // An agent that does not begin with `Hello`, or says it twice, is not one.
    let reply = match (request, tables) {
        (Request::Hello { version: _, generation, grant }, none @ None) => {
            // Where the versions differ, the agent ends this.
            *none = Some(Tables::new(generation, grant.into_owned()).map_err(Failed::Memory)?);
            Ok(Answer::Ready { version: VERSION })
        }
        (Request::Open { name }, Some(tables)) => tables.open(&name).map(Answer::Number),
        (Request::Function { library, symbol, signature }, Some(tables)) => {
            tables.function(library, &symbol, &signature).map(Answer::Number)
        }
        (Request::Call { function, arguments }, Some(tables)) => {
            tables.call(function, &arguments).map(Answer::Outcome)
        }
        (Request::Forget { handle }, Some(tables)) => tables.forget(handle).map(|()| Answer::Forgotten),
        (Request::Hello { .. }, Some(_)) | (_, None) => return Err(Failed::Order),
    };
    Ok(reply)
}

/// Ends at once: an orderly exit would run what libraries have registered for it, and they may hang.
fn end() -> ! {
    let _ = kill_process(getpid(), Signal::KILL);
    std::process::abort()
}
