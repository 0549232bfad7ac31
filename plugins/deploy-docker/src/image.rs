//! Where the image comes from: an archive over http or https, or a registry; told apart by what they are.

use alloc::format;
use alloc::string::{String, ToString as _};

use cardcage_sdk::deploy::Order;
use cardcage_sdk::{Error, artifacts, code, containers};

/// What `url` and `file` say by themselves.
#[derive(Debug, PartialEq)]
enum Place {
    /// A registry: the url has no scheme, or one that only registries have.
    Registry { reference: String },
    /// Reached over http: an archive at `address`, or a registry that has `reference`.
    Web { address: String, reference: String },
}

pub(crate) fn check(order: &Order) -> Result<(), Error> {
    place(order).map(|_| ())
}

/// The image, in the engine; what it is called there.
pub(crate) fn obtain(order: &Order, sha256: Option<&str>) -> Result<String, Error> {
    match place(order)? {
        Place::Registry { reference } => pull(&reference),
        Place::Web { address, reference } => from_web(order, &address, &reference, sha256),
    }
}

/// A tag or a digest in the name of the software says that it is asked of a registry first; else the archive is. Whoever
/// does not have it does not answer for the other.
fn from_web(order: &Order, address: &str, reference: &str, sha256: Option<&str>) -> Result<String, Error> {
    if is_tagged(&order.file) && artifacts::is_registry(&order.url)? {
        return pull(reference);
    }
    let archive = match artifacts::fetch(address, sha256) {
        Ok(archive) => archive,
        Err(error) if error.is(code::ABSENT) && artifacts::is_registry(&order.url)? => {
            return pull(reference);
        }
        // The address is sound; it is what the repository makes of it that is not.
        Err(error) if error.is(code::INVALID) => return Err(Error::new(code::ARTIFACT, error.detail)),
        Err(error) => return Err(error),
    };
    if archive.format() == "other" {
        return Err(Error::new(code::ARTIFACT, format!("{address} is no archive, so it holds no image")));
    }
    let images = containers::load(&archive).map_err(|error| {
        let Error { code, detail } = cannot_be_had(error);
        Error { code, detail: format!("{address}: {detail}") }
    })?;
    match images.as_slice() {
        [image] => Ok(image.clone()),
        [] => Err(Error::new(code::ARTIFACT, format!("{address} holds no image"))),
        several => Err(Error::new(
            code::ARTIFACT,
            format!("{address} holds {} images; an archive for a deploy has one", several.len()),
        )),
    }
}

fn pull(reference: &str) -> Result<String, Error> {
    containers::pull(reference).map_err(cannot_be_had)
}

/// Whatever a registry says against it, or an engine against an archive, it is the software that cannot be had.
fn cannot_be_had(error: Error) -> Error {
    match error.code.as_str() {
        code::UNREACHABLE | code::NO_SPACE | "cancelled" => error,
        _ => Error::new(code::ARTIFACT, error.detail),
    }
}

fn place(order: &Order) -> Result<Place, Error> {
    let url = order.url.trim();
    let file = order.file.trim().trim_start_matches('/');
    let wrong =
        |what: &str| Err(Error::invalid(format!("{what}: url is {:?}, file {:?}", order.url, order.file)));
    if url.is_empty() || file.is_empty() {
        return wrong("url and file say where the software is");
    }
    let (scheme, rest) = match url.split_once("://") {
        Some((scheme, rest)) => (Some(scheme), rest),
        None => (None, url),
    };
    let rest = rest.trim_end_matches('/');
    match scheme {
        _ if rest.is_empty() => wrong("url names no host"),
        None => Ok(Place::Registry { reference: format!("{rest}/{file}") }),
        Some("oci" | "docker") => Ok(Place::Registry { reference: format!("{rest}/{file}") }),
        Some(scheme @ ("http" | "https")) => {
            // Credentials in the url are for the repository; a reference has none.
            let registry = rest.rsplit_once('@').map_or(rest, |(_, host)| host);
            Ok(Place::Web {
                address: format!("{scheme}://{rest}/{file}"),
                reference: format!("{registry}/{file}"),
            })
        }
        Some(_) => wrong("a repository is reached by http:// or https://, a registry also without either"),
    }
}

/// Whether it ends in `:tag` or `@sha256:…`, as the names of images do and those of files seldom.
fn is_tagged(file: &str) -> bool {
    let last = file.rsplit('/').next().unwrap_or_default().to_string();
    last.contains(':') || last.contains('@')
}

#[cfg(test)]
mod tests {
    use cardcage_sdk::fake;

    use super::*;

    fn place_of(url: &str, file: &str) -> Result<Place, Error> {
        place(&Order { url: url.into(), file: file.into(), ..fake::order() })
    }

    #[test]
    fn an_archive_and_a_registry_are_told_apart_by_what_they_are() {
        let registry = |reference: &str| Ok(Place::Registry { reference: reference.into() });
        assert_eq!(
            place_of("registry.example:5000", "team/app:1"),
            registry("registry.example:5000/team/app:1")
        );
        assert_eq!(
            place_of("docker.io/library/", "busybox:1.36"),
            registry("docker.io/library/busybox:1.36")
        );
        assert_eq!(place_of("oci://registry.example", "app"), registry("registry.example/app"));
        assert_eq!(
            place_of("http://user:pw@10.0.0.5:8080/images/", "/app.tar.gz"),
            Ok(Place::Web {
                address: "http://user:pw@10.0.0.5:8080/images/app.tar.gz".into(),
                reference: "10.0.0.5:8080/images/app.tar.gz".into()
            })
        );
        assert!(place_of("ftp://repo", "app").is_err());
        assert!(place_of("http://", "app").is_err());
        assert!(place_of("http://repo", "/").is_err());
    }

    #[test]
    fn a_tag_marks_the_name_of_an_image() {
        assert!(is_tagged("team/app:1.2") && is_tagged("app@sha256:00"));
        assert!(!is_tagged("app-1.2.tar.gz") && !is_tagged("a:b/app"));
    }
}
