//! Our calls in the user's four hooks: at the end of the hooks before the write, when the row is as it will be
//! written, and at the start of those after it, when the row is as it was written.

use proc_macro2::{Ident, Span, TokenStream};
use quote::{quote, quote_spanned};
use syn::{Block, FnArg, ImplItem, ImplItemFn, Pat, Path, parse_quote, spanned::Spanned as _};

use super::behavior::{Behavior, METHODS};

/// The user's impl with our calls in it.
pub(super) fn woven(behavior: Behavior, krate: &Path) -> syn::Result<TokenStream> {
    let mut item = behavior.item;
    if !item
        .attrs
        .iter()
        .any(|attribute| attribute.path().segments.last().is_some_and(|last| last.ident == "async_trait"))
    {
        item.attrs.push(parse_quote!(#[#krate::__private::async_trait]));
    }
    for name in METHODS {
        let own = item.items.iter_mut().find_map(|item| match item {
            ImplItem::Fn(method) if method.sig.ident == name => Some(method),
            _ => None,
        });
        match own {
            Some(method) => weave(method, name, krate)?,
            None => item.items.push(ImplItem::Fn(alone(name, krate))),
        }
    }
    Ok(quote!(#item))
}

/// Puts our call into a hook of the user's.
fn weave(method: &mut ImplItemFn, name: &str, krate: &Path) -> syn::Result<()> {
    let names = take_names(method)?;
    let ours = Ident::new(name, Span::call_site());
    let call = quote!(#krate::__private::#ours::<Self, _>);
    let body = &method.block;
    let block: Block = match (name, names.as_slice()) {
        ("before_save" | "before_delete", [(db, _), rest @ ..]) => {
            let insert = rest.iter().map(|(insert, _)| insert);
            let bind = bindings(&names);
            let output = match &method.sig.output {
                syn::ReturnType::Type(_, output) => quote!(#output),
                syn::ReturnType::Default => quote!(()),
            };
            // An async block of its own: a `return` in the user's body must not pass our call by.
            parse_quote!({
                let __outbox_model: #output = { #bind async move #body }.await;
                #call(__outbox_model?, #db #(, #insert)*).await
            })
        }
        ("after_save", [(model, pattern), (db, _), (insert, _)]) => {
            let bind = bindings(&names[1..]);
            let statements = &body.stmts;
            parse_quote!({
                let #pattern = #call(#model, #db, #insert).await?;
                #bind
                #(#statements)*
            })
        }
        ("after_delete", [(db, _)]) => {
            let bind = bindings(&names);
            let statements = &body.stmts;
            parse_quote!({
                #call(::core::clone::Clone::clone(&self), #db).await?;
                #bind
                #(#statements)*
            })
        }
        _ => {
            return Err(syn::Error::new(
                method.sig.inputs.span(),
                format!("expected the parameters of `ActiveModelBehavior::{name}`"),
            ));
        }
    };
    method.block = block;
    Ok(())
}

/// Renames the parameters, whatever patterns the user gave them (`_db`, `_`, `mut model`).
fn take_names(method: &mut ImplItemFn) -> syn::Result<Vec<(Ident, Pat)>> {
    let mut names = Vec::new();
    for (index, input) in method.sig.inputs.iter_mut().enumerate() {
        if let FnArg::Typed(argument) = input {
            let name = Ident::new(&format!("__outbox_{index}"), Span::call_site());
            let pattern = std::mem::replace(&mut *argument.pat, parse_quote!(#name));
            names.push((name, pattern));
        }
    }
    Ok(names)
}

/// The user's own names for the parameters.
fn bindings(names: &[(Ident, Pat)]) -> TokenStream {
    names.iter().map(|(name, pattern)| quote_spanned!(pattern.span()=> let #pattern = #name;)).collect()
}

/// A hook that the user has not written.
fn alone(name: &str, krate: &Path) -> ImplItemFn {
    let p = quote!(#krate::__private);
    let bound = quote!(C: #p::sea_orm::ConnectionTrait);
    let error = quote!(#p::sea_orm::DbErr);
    match name {
        "before_save" => parse_quote! {
            async fn before_save<C>(self, db: &C, insert: bool) -> ::core::result::Result<Self, #error> where #bound {
                #p::before_save::<Self, C>(self, db, insert).await
            }
        },
        "after_save" => parse_quote! {
            async fn after_save<C>(
                model: #p::RowOf<Self>,
                db: &C,
                insert: bool,
            ) -> ::core::result::Result<#p::RowOf<Self>, #error> where #bound {
                #p::after_save::<Self, C>(model, db, insert).await
            }
        },
        "before_delete" => parse_quote! {
            async fn before_delete<C>(self, db: &C) -> ::core::result::Result<Self, #error> where #bound {
                #p::before_delete::<Self, C>(self, db).await
            }
        },
        _ => parse_quote! {
            async fn after_delete<C>(self, db: &C) -> ::core::result::Result<Self, #error> where #bound {
                #p::after_delete::<Self, C>(::core::clone::Clone::clone(&self), db).await?;
                ::core::result::Result::Ok(self)
            }
        },
    }
}
