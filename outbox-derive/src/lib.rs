//! The macros of the outbox: `#[derive(OutboxEvent)]` and `#[outbox_hooks]`.
//!
//! They are re-exported by `outbox-seaorm`; nobody needs to name this crate.

mod attributes;
mod crate_path;
mod outbox_event;
mod outbox_hooks;

use proc_macro::TokenStream;

#[doc = include_str!("../docs/outbox_event.md")]
#[proc_macro_derive(OutboxEvent, attributes(outbox))]
pub fn derive_outbox_event(input: TokenStream) -> TokenStream {
    let input = syn::parse_macro_input!(input as syn::DeriveInput);
    outbox_event::expand(&input).unwrap_or_else(syn::Error::into_compile_error).into()
}

/// Makes the saves of an entity atomic with their events, on the user's own `impl ActiveModelBehavior for ActiveModel`.
///
/// | key | called with | when |
/// |---|---|---|
/// | `on_insert = hook` | `&Model` | after an insert |
/// | `on_update = hook` | `&Update<Model>` or `&Model` | after an update that wrote the row |
/// | `on_update(before) = hook` | `&UpdateWithBefore<Model>` or `&Model` | the same, and the row is read before it |
/// | `on_delete = hook` | `&Model` | after a delete, if there was a row |
/// | `crate = path` | | where `outbox-seaorm` is re-exported |
///
/// A hook is a path or a closure, and returns an event, an `Option`, a `Vec`, a tuple of events, or `()`. A closure
/// without types gets the update; `SomeEvent::from` gets the row.
///
/// It stands above an `#[async_trait]` of the user's.
#[proc_macro_attribute]
pub fn outbox_hooks(list: TokenStream, item: TokenStream) -> TokenStream {
    let kept = item.clone();
    outbox_hooks::expand(list.into(), item.into())
        .unwrap_or_else(|error| {
            // The impl stays, so that one mistake in the list is not a hundred errors elsewhere.
            let error = error.into_compile_error();
            let kept = proc_macro2::TokenStream::from(kept);
            quote::quote!(#kept #error)
        })
        .into()
}
