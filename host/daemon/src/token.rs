//! A bearer token in a file, which whoever wants to change something must know. The operator writes the file, and may
//! replace it while the process runs: see [`crate::watched`]. A file that goes bad leaves the token that there was; to
//! shut somebody out, write a new one.

use std::path::{Path, PathBuf};

use hyper::header::HeaderValue;
use subtle::ConstantTimeEq as _;

use crate::trusted::{self, Readers, UntrustedError};
use crate::watched::Watched;

/// Shortest token that is accepted, in bytes.
const SHORTEST: usize = 16;
/// Longest file that is read, in bytes.
const LONGEST: usize = 4096;
/// How the header begins, in any case of letters.
const SCHEME: &[u8] = b"Bearer ";

/// Why there is no token.
#[derive(Debug, thiserror::Error)]
pub enum TokenError {
    /// The file is not there, or not to be trusted.
    #[error("the token is not taken")]
    Untrusted(#[source] UntrustedError),
    /// It can be guessed.
    #[error("the token in {} is shorter than {SHORTEST} bytes; write a longer one, as `openssl rand -hex 32` makes it", .0.display())]
    Short(PathBuf),
    /// No request could carry it.
    #[error("the token in {} is not one word of letters, digits and signs; write one as `openssl rand -hex 32` makes it", .0.display())]
    NoWord(PathBuf),
}

/// The token. It is never printed.
#[derive(Debug, Clone)]
pub struct Token(Watched<Secret>);

struct Secret(Box<[u8]>);

impl Token {
    /// Reads it for the first time.
    pub fn load(path: &Path) -> Result<Self, TokenError> {
        let file = path.to_owned();
        Watched::new("the token", vec![path.to_owned()], move || read(&file)).map(Self)
    }

    /// Whether a request has this token in its `Authorization`. Takes the same time for every wrong one of the same
    /// length.
    pub async fn matches(&self, authorization: Option<&HeaderValue>) -> bool {
        let Some(offered) = authorization.and_then(|header| word(header.as_bytes())) else { return false };
        self.0.current().await.0.ct_eq(offered).into()
    }
}

/// The token of `Bearer token`.
fn word(header: &[u8]) -> Option<&[u8]> {
    let (scheme, word) = header.split_at_checked(SCHEME.len())?;
    scheme.eq_ignore_ascii_case(SCHEME).then(|| word.trim_ascii())
}

fn read(path: &Path) -> Result<Secret, TokenError> {
    let text = trusted::read(path, Readers::Ourselves, LONGEST).map_err(TokenError::Untrusted)?;
    let token = text.trim_ascii();
    if token.len() < SHORTEST {
        return Err(TokenError::Short(path.to_owned()));
    }
    match token.iter().all(u8::is_ascii_graphic) {
        true => Ok(Secret(token.into())),
        false => Err(TokenError::NoWord(path.to_owned())),
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    const TOKEN: &str = "0123456789abcdef";

    fn write(path: &Path, text: impl AsRef<[u8]>) {
        let draft = path.with_extension("new");
        fs::write(&draft, text).unwrap();
        fs::set_permissions(&draft, fs::Permissions::from_mode(0o600)).unwrap();
        fs::rename(draft, path).unwrap();
    }

    fn header(text: &str) -> HeaderValue {
        HeaderValue::from_str(text).unwrap()
    }

    #[tokio::test]
    async fn only_the_token_matches() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("token");
        write(&path, format!(" {TOKEN}\r\n"));
        let token = Token::load(&path).unwrap();
        for right in ["Bearer 0123456789abcdef", "bearer 0123456789abcdef", "BEARER   0123456789abcdef"] {
            assert!(token.matches(Some(&header(right))).await, "{right}");
        }
        for wrong in [
            "",
            "Bearer",
            "Bearer ",
            "0123456789abcdef",
            "Bearer0123456789abcdef",
            "Basic 0123456789abcdef",
            "Bearer 0123456789abcdeF",
            "Bearer 0123456789abcde",
            "Bearer 0123456789abcdef0",
            "Bearer 0123456789abcdef 0123456789abcdef",
        ] {
            assert!(!token.matches(Some(&header(wrong))).await, "{wrong}");
        }
        let strange = HeaderValue::from_bytes(b"Bearer \xff\xfe0123456789abcd").unwrap();
        assert!(!token.matches(Some(&strange)).await);
        assert!(!token.matches(None).await);
        assert!(!format!("{token:?}").contains(TOKEN));
    }

    #[tokio::test]
    async fn a_replaced_token_is_the_token_and_a_bad_one_is_not() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("token");
        write(&path, TOKEN);
        let token = Token(Token::load(&path).unwrap().0.eager());
        let (old, new) = (header("Bearer 0123456789abcdef"), header("Bearer fedcba9876543210"));
        write(&path, "fedcba9876543210");
        assert!(token.matches(Some(&new)).await && !token.matches(Some(&old)).await);
        write(&path, "");
        assert!(token.matches(Some(&new)).await && !token.matches(Some(&header("Bearer "))).await);
    }

    #[test]
    fn a_token_that_others_may_know_or_guess_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("token");
        write(&path, &TOKEN[1..]);
        assert!(matches!(Token::load(&path), Err(TokenError::Short(_))));
        write(&path, [b' '; 20]);
        assert!(matches!(Token::load(&path), Err(TokenError::Short(_))));
        for text in
            ["0123456789abcdef 0123456789abcdef", "0123456789abcdef\n0123456789abcdef", "0123456789abcdéf"]
        {
            write(&path, text);
            assert!(matches!(Token::load(&path), Err(TokenError::NoWord(_))), "{text}");
        }
        write(&path, "a".repeat(LONGEST + 1));
        assert!(matches!(Token::load(&path), Err(TokenError::Untrusted(UntrustedError::Long { .. }))));
        write(&path, TOKEN);
        fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
        let refused = Token::load(&path).unwrap_err();
        assert!(matches!(refused, TokenError::Untrusted(UntrustedError::Readable(_))), "{refused}");
    }
}
