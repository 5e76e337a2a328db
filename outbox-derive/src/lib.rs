//! The macros of the outbox: `#[derive(OutboxEvent)]`.
//!
//! They are re-exported by `outbox-seaorm`; nobody needs to name this crate.

mod attributes;
mod crate_path;
mod outbox_event;

use proc_macro::TokenStream;

/// Makes a struct or an enum a domain event.
#[proc_macro_derive(OutboxEvent, attributes(outbox))]
pub fn derive_outbox_event(input: TokenStream) -> TokenStream {
    let input = syn::parse_macro_input!(input as syn::DeriveInput);
    outbox_event::expand(&input).unwrap_or_else(syn::Error::into_compile_error).into()
}
