//! What a project is made of: paths and texts, which `build.rs` collected.

include!(concat!(env!("OUT_DIR"), "/embedded.rs"));

/// The files below a folder of `sdk/templates`.
pub fn template(folder: &'static str) -> impl Iterator<Item = (&'static str, &'static str)> {
    let below = move |path: &'static str| path.strip_prefix(folder)?.strip_prefix('/');
    TEMPLATES.iter().filter_map(move |(path, text)| Some((below(path)?, *text)))
}
