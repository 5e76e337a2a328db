//! What stands beside the user's impl: the hooks as a trait, and the entity's own verbs, which win over those of
//! SeaORM's traits.

use proc_macro2::{Ident, Span, TokenStream};
use quote::{quote, quote_spanned};
use syn::{Expr, Path, spanned::Spanned as _};

use super::{
    behavior::Behavior,
    input::{HookList, OnUpdate, UpdateCall},
};

pub(super) fn beside(behavior: &Behavior, hooks: &HookList, krate: &Path) -> TokenStream {
    let hooks = hooks_impl(behavior, hooks, krate);
    let verbs = verbs(behavior, krate);
    let graph = graph(behavior, krate);
    quote! { #hooks #verbs #graph }
}

fn hooks_impl(behavior: &Behavior, hooks: &HookList, krate: &Path) -> TokenStream {
    let p = quote!(#krate::__private);
    let active_model = &behavior.active_model;
    let HookList { on_insert, on_update, on_delete, .. } = hooks;
    let (has_insert, has_update, has_delete) =
        (on_insert.is_some(), on_update.is_some(), on_delete.is_some());
    // The hook's expression keeps its own span, so the name of the parameter must not come from it.
    let row = Ident::new("row", Span::mixed_site());
    let inserted = of_row(on_insert.as_ref(), krate, &row);
    let updated = of_update(on_update.as_ref(), krate, &row);
    let deleted = of_row(on_delete.as_ref(), krate, &row);
    let before = if on_update.as_ref().is_some_and(|update| update.before) {
        quote!(#p::Before<#p::RowOf<Self>>)
    } else {
        quote!(#p::Unread)
    };
    quote! {
        #[automatically_derived]
        impl #p::Hooks for #active_model {
            const ON_INSERT: bool = #has_insert;
            const ON_UPDATE: bool = #has_update;
            const ON_DELETE: bool = #has_delete;
            type Before = #before;

            fn on_insert(#row: &#p::RowOf<Self>) -> #p::HookEvents {
                #inserted
            }

            fn on_update(#row: &#p::Update<#p::RowOf<Self>, Self::Before>) -> #p::HookEvents {
                #updated
            }

            fn on_delete(#row: &#p::RowOf<Self>) -> #p::HookEvents {
                #deleted
            }
        }
    }
}

fn of_row(hook: Option<&Expr>, krate: &Path, row: &Ident) -> TokenStream {
    match hook {
        Some(hook) => call("of_row", hook, &quote!(#row), krate),
        None => none(krate, row),
    }
}

fn of_update(hook: Option<&OnUpdate>, krate: &Path, update: &Ident) -> TokenStream {
    let Some(on_update) = hook else { return none(krate, update) };
    let hook = &on_update.hook;
    match on_update.call() {
        UpdateCall::Update => call("of_update", hook, &quote!(#update), krate),
        UpdateCall::Row => call("of_row", hook, &quote!(#update.row()), krate),
        UpdateCall::Either => call("of_either", hook, &quote!(#update), krate),
    }
}

/// A call that the compiler shows at the hook where the hook does not fit: every token of its path stands there.
fn call(function: &str, hook: &Expr, argument: &TokenStream, krate: &Path) -> TokenStream {
    let at = hook.span();
    let function = Ident::new(function, at);
    let path = quote!(#krate::__private::).into_iter().map(|mut token| {
        token.set_span(at.resolved_at(token.span()));
        token
    });
    quote_spanned!(at=> #(#path)* #function(#hook, #argument))
}

fn none(krate: &Path, row: &Ident) -> TokenStream {
    quote! {
        let _ = #row;
        #krate::__private::no_events()
    }
}

fn verbs(behavior: &Behavior, krate: &Path) -> TokenStream {
    let p = quote!(#krate::__private);
    let active_model = &behavior.active_model;
    let model = behavior.sibling("Model");
    let verb = |name: &str, output: TokenStream, doc: &str| {
        let name = Ident::new(name, Span::call_site());
        quote! {
            #[doc = #doc]
            ///
            /// # Cancel safety
            /// When dropped it stores both or neither. In a transaction, end that transaction then.
            pub async fn #name<C>(self, db: &C) -> ::core::result::Result<#output, #p::sea_orm::DbErr>
            where
                C: #p::SaveConnection,
            {
                #p::evented(self).#name(db).await
            }
        }
    };
    let row = quote!(#p::RowOf<#active_model>);
    let deleted = quote!(#p::sea_orm::DeleteResult);
    let insert = verb("insert", row.clone(), "Inserts the row and the events of its hooks, both or neither.");
    let update = verb("update", row, "Updates the row and stores the events of its hooks, both or neither.");
    let save = verb(
        "save",
        quote!(Self),
        "Inserts where the key is not set, updates otherwise; with the events of its hooks.",
    );
    let delete = verb(
        "delete",
        deleted.clone(),
        "Deletes the row and stores the events of its hooks, both or neither.",
    );
    let update_without_returning = verb(
        "update_without_returning",
        quote!(#p::sea_orm::UpdateResult),
        "Updates the row and stores the events of its hooks; reads it back only where a hook needs it.",
    );
    quote! {
        #[allow(dead_code, reason = "not every program uses every verb")]
        impl #active_model {
            #insert
            #update
            #save
            #delete
            #update_without_returning

            /// Raises an event, or several, on the save that follows.
            pub fn raise<E: #krate::event::IntoEvents>(self, events: E) -> #p::Raised<Self> {
                #p::evented(self).raise(events)
            }

            /// Raises events made from the row as it is stored.
            pub fn raise_with<F, E>(self, events: F) -> #p::Raised<Self>
            where
                F: ::core::ops::FnOnce(&#p::RowOf<Self>) -> E + ::core::marker::Send + 'static,
                E: #krate::event::IntoEvents,
            {
                #p::evented(self).raise_with(events)
            }
        }

        #[allow(dead_code, reason = "not every program uses every verb")]
        impl #model {
            /// Deletes the row and stores the events of its hooks, both or neither.
            pub async fn delete<C>(self, db: &C) -> ::core::result::Result<#deleted, #p::sea_orm::DbErr>
            where
                C: #p::SaveConnection,
            {
                let model: #active_model = #p::sea_orm::IntoActiveModel::into_active_model(self);
                #p::evented(model).delete(db).await
            }
        }
    }
}

/// The builder's verbs. For an entity without a builder its type is the active model itself.
fn graph(behavior: &Behavior, krate: &Path) -> TokenStream {
    let p = quote!(#krate::__private);
    let entity = behavior.sibling("Entity");
    let entity_trait = quote!(#p::sea_orm::EntityTrait);
    let verb = |name: &str, verb: &str, output: TokenStream| {
        let (name, verb) = (Ident::new(name, Span::call_site()), Ident::new(verb, Span::call_site()));
        quote! {
            async fn #name<C: #p::SaveConnection>(
                self,
                db: &C,
            ) -> ::core::result::Result<#output, #p::sea_orm::DbErr> {
                self.#verb(db).await
            }
        }
    };
    let insert = verb("insert_graph", "insert", quote!(Self::Row));
    let update = verb("update_graph", "update", quote!(Self::Row));
    let save = verb("save_graph", "save", quote!(Self));
    let delete = verb("delete_graph", "delete", quote!(#p::sea_orm::DeleteResult));
    quote! {
        #[automatically_derived]
        impl #p::Graph for <#entity as #entity_trait>::ActiveModelEx {
            type Row = <#entity as #entity_trait>::ModelEx;

            #insert
            #update
            #save
            #delete

            fn to_row(&self) -> ::core::result::Result<Self::Row, #p::sea_orm::DbErr> {
                #p::sea_orm::TryIntoModel::try_into_model(::core::clone::Clone::clone(self))
            }
        }
    }
}
