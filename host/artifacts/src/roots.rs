//! Whom https trusts: the board's own bundle of certificates, and the operator's. Read for each transfer, so that a new
//! bundle counts at once and nothing of it stays in memory.

use std::io;
use std::path::Path;

use ureq::tls::{Certificate, PemItem, parse_pem};

use crate::Error;
use crate::files::read_bounded;

/// Where distributions keep it; the first that is there counts.
const BUNDLES: [&str; 3] =
    ["/etc/ssl/certs/ca-certificates.crt", "/etc/pki/tls/certs/ca-bundle.crt", "/etc/ssl/cert.pem"];
/// Largest bundle, in bytes.
const LIMIT: u64 = 4 << 20;

pub(crate) fn load(ca: Option<&Path>) -> Result<Vec<Certificate<'static>>, Error> {
    load_from(&BUNDLES.map(Path::new), ca)
}

fn load_from(bundles: &[&Path], ca: Option<&Path>) -> Result<Vec<Certificate<'static>>, Error> {
    let mut roots = Vec::new();
    for bundle in bundles {
        // An unreadable bundle is no reason to fail while another one, or the operator's, will do.
        if let Ok(Some(pem)) = read_bounded(bundle, LIMIT) {
            roots = certificates(&pem);
        }
        if !roots.is_empty() {
            break;
        }
    }
    if let Some(ca) = ca {
        roots.extend(operator(ca)?);
    }
    if roots.is_empty() {
        return Err(Error::Unreachable {
            what: "https".to_owned(),
            reason: "this machine trusts no certificate authority; install its ca-certificates package, or name the \
                     repository's certificate in the configuration ([deploy] ca)"
                .to_owned(),
        });
    }
    Ok(roots)
}

/// The operator's file must be good: they would look for the fault elsewhere.
pub(crate) fn operator(ca: &Path) -> Result<Vec<Certificate<'static>>, Error> {
    let what = || format!("certificate authority {}", ca.display());
    let pem = read_bounded(ca, LIMIT).map_err(|error| Error::io(what(), &error))?;
    let Some(pem) = pem else {
        let missing =
            io::Error::new(io::ErrorKind::NotFound, "no such file, or more than 4 MiB; correct its path");
        return Err(Error::io(what(), &missing));
    };
    let found = certificates(&pem);
    if found.is_empty() {
        return Err(Error::invalid(
            what(),
            "has no certificate; it must be PEM (-----BEGIN CERTIFICATE-----)",
        ));
    }
    Ok(found)
}

fn certificates(pem: &[u8]) -> Vec<Certificate<'static>> {
    let items = parse_pem(pem).filter_map(Result::ok);
    items.filter_map(|item| if let PemItem::Certificate(found) = item { Some(found) } else { None }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_any_certificate_the_error_names_the_remedy() {
        let error = load_from(&[Path::new("/nowhere/bundle")], None).unwrap_err();
        assert_eq!(error.code(), "unreachable");
        assert!(error.to_string().contains("ca-certificates"), "{error}");
    }

    #[test]
    fn the_operators_file_must_have_a_certificate() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("ca.pem");
        assert_eq!(operator(&path).unwrap_err().code(), "io");
        std::fs::write(&path, "nothing").unwrap();
        assert_eq!(operator(&path).unwrap_err().code(), "invalid");
        let certificate = rcgen::generate_simple_self_signed(["repo".to_owned()]).unwrap().cert;
        std::fs::write(&path, certificate.pem()).unwrap();
        assert_eq!(load_from(&[], Some(&path)).unwrap().len(), 1);
    }
}
