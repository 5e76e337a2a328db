//! The older types that the event is made of: one constant, which the runtime crate checks while the user's is compiled.

use proc_macro2::{Span, TokenStream, TokenTree};
use quote::{ToTokens as _, quote, quote_spanned};
use syn::{DeriveInput, Path, PathArguments, WherePredicate, parse_quote, spanned::Spanned as _};

use super::input::Cases;

/// The older types, each with the index of the kind that it becomes.
fn steps(cases: &Cases) -> impl Iterator<Item = (usize, &Path)> {
    let cases: Vec<_> = match cases {
        Cases::Struct(case) => vec![&**case],
        Cases::Enum(variants) => variants.iter().map(|variant| &variant.case).collect(),
    };
    cases.into_iter().enumerate().filter_map(|(index, case)| Some((index, case.upcast_from.as_ref()?)))
}

/// The constant, where the default of the trait (none) will not do. What is wrong with a type is told where the user
/// names it.
pub(super) fn constant(cases: &Cases, krate: &Path) -> Option<TokenStream> {
    let steps: Vec<_> = steps(cases)
        .map(|(index, old)| {
            let krate = located(krate, old.span());
            quote_spanned! {old.span()=>
                #krate::event::Upcast::of::<#old>(&<Self as #krate::OutboxEvent>::KINDS[#index])
            }
        })
        .collect();
    (!steps.is_empty())
        .then(|| quote!(const UPCASTS: &'static [#krate::event::Upcast<Self>] = &[#(#steps),*];))
}

/// Has the constant checked although nobody uses it yet. That of a generic type cannot be, before it is used.
pub(super) fn check(input: &DeriveInput, cases: &Cases, krate: &Path) -> Option<TokenStream> {
    let ident = &input.ident;
    steps(cases).next().filter(|_| input.generics.params.is_empty())?;
    Some(quote! {
        #[allow(deprecated)]
        const _: &[#krate::event::Upcast<#ident>] = <#ident as #krate::OutboxEvent>::UPCASTS;
    })
}

/// What holds of a generic event only for some of its parameters: that older versions can be read and become it.
pub(super) fn bounds(cases: &Cases, krate: &Path) -> Vec<WherePredicate> {
    steps(cases)
        .flat_map(|(_, old)| {
            let from: WherePredicate = parse_quote!(Self: ::core::convert::From<#old>);
            let is_generic =
                old.segments.iter().any(|segment| !matches!(segment.arguments, PathArguments::None));
            let read: Option<WherePredicate> = is_generic.then(
                || parse_quote!(#old: #krate::OutboxEvent + #krate::event::__private::DeserializeOwned),
            );
            std::iter::once(from).chain(read)
        })
        .collect()
}

/// The path as if it stood in that place. An error has the place of the first token of what is wrong.
fn located(path: &Path, span: Span) -> TokenStream {
    let at = |mut token: TokenTree| {
        token.set_span(token.span().located_at(span));
        token
    };
    path.to_token_stream().into_iter().map(at).collect()
}
