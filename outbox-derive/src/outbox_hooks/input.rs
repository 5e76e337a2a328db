//! The list that the attribute was given.

use proc_macro2::TokenStream;
use syn::{Expr, Pat, Path};

use crate::attributes::{Attributes, Entry, Errors, Place};

const LIST: Place =
    Place { name: "`#[outbox_hooks]`", keys: &["on_insert", "on_update", "on_delete", "crate"] };

/// What is called, and when.
pub(super) struct HookList {
    pub(super) crate_path: Option<Path>,
    pub(super) on_insert: Option<Expr>,
    pub(super) on_update: Option<OnUpdate>,
    pub(super) on_delete: Option<Expr>,
}

/// The hook of an update.
pub(super) struct OnUpdate {
    pub(super) hook: Expr,
    /// `on_update(before) = ..`: the row before is read too.
    pub(super) before: bool,
}

impl HookList {
    pub(super) fn read(list: TokenStream) -> syn::Result<Self> {
        let mut attributes = Attributes::from_list(list, LIST)?;
        let mut errors = Errors::default();
        let mut take = |key: &str| attributes.take(key);
        let crate_path = take("crate").map(|entry| entry.path("crate = my_outbox"));
        let on_insert = take("on_insert").map(|entry| entry.expr("on_insert = order_placed"));
        let on_update = take("on_update").map(OnUpdate::read);
        let on_delete = take("on_delete").map(|entry| entry.expr("on_delete = order_removed"));
        let hooks = Self {
            crate_path: crate_path.and_then(|path| errors.keep(path)),
            on_insert: on_insert.and_then(|hook| errors.keep(hook)),
            on_update: on_update.and_then(|hook| errors.keep(hook)),
            on_delete: on_delete.and_then(|hook| errors.keep(hook)),
        };
        errors.into_result()?;
        Ok(hooks)
    }
}

impl OnUpdate {
    fn read(mut entry: Entry) -> syn::Result<Self> {
        let before = match entry.modifier.take() {
            None => false,
            Some(word) if word == "before" => true,
            Some(other) => {
                return Err(syn::Error::new(
                    other.span(),
                    "expected `on_update = hook` or `on_update(before) = hook`",
                ));
            }
        };
        Ok(Self { hook: entry.expr("on_update = order_paid")?, before })
    }

    /// How the hook is called: which types the compiler can find out by itself, and which it must be told.
    pub(super) fn call(&self) -> UpdateCall {
        match &self.hook {
            Expr::Closure(closure) if !matches!(closure.inputs.first(), Some(Pat::Type(_))) => {
                UpdateCall::Update
            }
            // `From` has an implementation for the type itself too, so the compiler could not choose.
            Expr::Path(path) if path.path.segments.last().is_some_and(|last| last.ident == "from") => {
                UpdateCall::Row
            }
            _ => UpdateCall::Either,
        }
    }
}

/// What an `on_update` hook is called with.
pub(super) enum UpdateCall {
    /// The update.
    Update,
    /// The plain row.
    Row,
    /// Whichever of the two the hook's signature names.
    Either,
}
