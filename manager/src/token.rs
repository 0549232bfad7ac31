//! The bearer token that every change through the API needs: generated at the first start, kept beside the inventory in
//! a file that only its owner can read. `cardcage` takes it from there.

use std::fs::{self, File, OpenOptions};
use std::io::{ErrorKind, Read, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use nix::unistd::geteuid;
use subtle::ConstantTimeEq;
use tracing::{info, warn};
use uuid::Uuid;

/// Shortest token that is accepted, in bytes.
const SHORTEST: usize = 16;

/// Longest token that is read, in bytes.
const LONGEST: u64 = 4096;

/// Name of the file in the state directory.
pub const FILE: &str = "token";

/// The secret. It is never printed.
pub struct Token(Box<[u8]>);

/// Why there is no token.
#[derive(Debug, thiserror::Error)]
pub enum NoToken {
    /// The file cannot be read or made.
    #[error("cannot {action} the token {}", path.display())]
    Io {
        /// What failed.
        action: &'static str,
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// Nobody should trust it.
    #[error("the token in {} is shorter than {SHORTEST} bytes; delete the file, a new one is made at the next start", .0.display())]
    Short(PathBuf),
    /// Somebody else knows it, and can change it.
    #[error("the token in {} belongs to user {owner} and not to user {}, who this manager is; chown it, or delete it and a new one is made at the next start", path.display(), geteuid())]
    Foreign {
        /// The file.
        path: PathBuf,
        /// Whose it is.
        owner: u32,
    },
}

impl Token {
    /// Reads the token of this state directory, or makes one.
    pub fn load_or_create(state_dir: &Path) -> Result<Self, NoToken> {
        let path = state_dir.join(FILE);
        match read(&path) {
            Err(NoToken::Io { source, .. }) if source.kind() == ErrorKind::NotFound => {
                create(state_dir, &path)
            }
            token => token,
        }
    }

    /// Whether somebody knows the token. Takes the same time for every wrong one of the same length.
    pub fn is(&self, offered: &[u8]) -> bool {
        self.0.ct_eq(offered).into()
    }
}

fn read(path: &Path) -> Result<Token, NoToken> {
    let failed = |source| NoToken::Io { action: "read", path: path.to_owned(), source };
    let mut text = String::new();
    let file = File::open(path).map_err(failed)?;
    let metadata = file.metadata().map_err(failed)?;
    let (mode, owner) = (metadata.permissions().mode(), metadata.uid());
    if owner != geteuid().as_raw() {
        return Err(NoToken::Foreign { path: path.to_owned(), owner });
    }
    file.take(LONGEST).read_to_string(&mut text).map_err(failed)?;
    if mode & 0o077 != 0 {
        warn!(path = %path.display(), mode = format!("{:o}", mode & 0o777), "others can read the token; chmod 600 it");
    }
    let text = text.trim();
    if text.len() < SHORTEST {
        return Err(NoToken::Short(path.to_owned()));
    }
    Ok(Token(text.as_bytes().into()))
}

/// Makes a token: written in full under another name and then linked, so that nobody ever reads half of one, and two
/// managers that start together end up with the same.
fn create(state_dir: &Path, path: &Path) -> Result<Token, NoToken> {
    let draft = state_dir.join(format!(".{FILE}.{}", std::process::id()));
    let failed = |source| NoToken::Io { action: "write", path: path.to_owned(), source };
    let secret = format!("{}{}", Uuid::new_v4().simple(), Uuid::new_v4().simple());
    let _ = fs::remove_file(&draft);
    let written = write(&draft, &secret).and_then(|()| match fs::hard_link(&draft, path) {
        Err(error) if error.kind() == ErrorKind::AlreadyExists => Ok(()),
        linked => linked,
    });
    let _ = fs::remove_file(&draft);
    written.map_err(failed)?;
    info!(path = %path.display(), "token generated");
    read(path)
}

fn write(path: &Path, secret: &str) -> std::io::Result<()> {
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
    writeln!(file, "{secret}")?;
    file.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_made_once_and_is_private() {
        let dir = tempfile::tempdir().unwrap();
        Token::load_or_create(dir.path()).unwrap();
        let path = dir.path().join(FILE);
        let text = fs::read_to_string(&path).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        let again = Token::load_or_create(dir.path()).unwrap();
        assert!(again.is(text.trim().as_bytes()));
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1, "no draft is left");
    }

    #[test]
    fn nothing_else_is_the_token() {
        let token = Token(b"0123456789abcdef".as_slice().into());
        assert!(token.is(b"0123456789abcdef"));
        assert!(!token.is(b"0123456789abcdeF") && !token.is(b"") && !token.is(b"0123456789abcdef0"));
    }

    #[test]
    fn a_token_of_somebody_else_is_not_accepted() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join(FILE);
        if geteuid().is_root() {
            fs::write(&path, "0123456789abcdef").unwrap();
            std::os::unix::fs::chown(&path, Some(1), None).unwrap();
        } else {
            // A file of root's that everybody can read.
            std::os::unix::fs::symlink("/etc/passwd", &path).unwrap();
        }
        let refused = Token::load_or_create(dir.path()).map(|_| ()).unwrap_err();
        assert!(
            matches!(refused, NoToken::Foreign { .. }) && refused.to_string().contains("chown"),
            "{refused}"
        );
    }

    #[test]
    fn an_emptied_token_is_not_accepted() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join(FILE), "\n").unwrap();
        assert!(matches!(Token::load_or_create(dir.path()), Err(NoToken::Short(_))));
    }
}
