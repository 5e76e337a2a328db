//! `#[derive(OutboxEvent)]`: constants from the attributes, names from serde's own attributes.

mod aggregate_id;
mod generate;
mod input;
mod kind;
mod serde_shape;
mod upcasts;

use proc_macro2::TokenStream;
use syn::DeriveInput;

use crate::crate_path;

/// The implementation, or all mistakes of the attributes.
pub(crate) fn expand(input: &DeriveInput) -> syn::Result<TokenStream> {
    let event = input::Event::read(input)?;
    let krate = crate_path::resolve(event.crate_path.clone())?;
    Ok(generate::implementation(input, &event, &krate))
}
