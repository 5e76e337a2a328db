//! `#[outbox_hooks(..)]` on the user's own `impl ActiveModelBehavior for ActiveModel`.
//!
//! An attribute on the impl and not a derive on the model: `#[sea_orm::model]` copies foreign derives onto
//! `Model` and onto `ModelEx`.

mod behavior;
mod generate;
mod input;
mod weave;

use proc_macro2::TokenStream;
use quote::quote;

use crate::crate_path;

/// The impl with the hooks woven in, and the entity's own verbs.
pub(crate) fn expand(list: TokenStream, item: TokenStream) -> syn::Result<TokenStream> {
    let hooks = input::HookList::read(list)?;
    let behavior = behavior::Behavior::read(item)?;
    let krate = crate_path::resolve(hooks.crate_path.clone())?;
    let generated = generate::beside(&behavior, &hooks, &krate);
    let woven = weave::woven(behavior, &krate)?;
    Ok(quote! { #woven #generated })
}
