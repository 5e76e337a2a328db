//! Where generated code finds the runtime crate.

use proc_macro_crate::{FoundCrate, crate_name};
use proc_macro2::Span;
use syn::{Ident, Path, parse_quote};

/// In the order of preference: who has `outbox-seaorm` may have `outbox-core` for its tests only.
const CANDIDATES: [&str; 2] = ["outbox-seaorm", "outbox-core"];

/// The path that the user gave, or that of the runtime crate under whatever name the manifest has it.
pub(crate) fn resolve(given: Option<Path>) -> syn::Result<Path> {
    given.or_else(|| CANDIDATES.into_iter().find_map(find)).ok_or_else(|| {
        syn::Error::new(
            Span::call_site(),
            "found neither `outbox-seaorm` nor `outbox-core` in Cargo.toml; add one, or name the crate that \
             re-exports it: `#[outbox(crate = path)]`",
        )
    })
}

fn find(package: &str) -> Option<Path> {
    let name = match crate_name(package).ok()? {
        FoundCrate::Name(name) => name,
        // The package's own doc tests, examples and integration tests know it by this name only;
        // the library itself says `extern crate self as ..`.
        FoundCrate::Itself => package.replace('-', "_"),
    };
    let name = Ident::new(&name, Span::call_site());
    Some(parse_quote!(::#name))
}
