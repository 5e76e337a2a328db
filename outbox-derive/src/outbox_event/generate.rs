//! The implementation, as small as it can be: constants, and a call for the aggregate id.

use proc_macro2::TokenStream;
use quote::{quote, quote_spanned};
use syn::{DeriveInput, Expr, Fields, Path, spanned::Spanned as _};

use super::{
    aggregate_id::AggregateId,
    input::{Cases, Event, Variant},
    kind::Kind,
    serde_shape::{Shape, VariantName},
    upcasts,
};

pub(super) fn implementation(input: &DeriveInput, event: &Event, krate: &Path) -> TokenStream {
    let ident = &input.ident;
    let (impl_generics, ty_generics, where_clause) = input.generics.split_for_impl();
    // The trait asks it of every event; a generic one has it only for some of its parameters.
    let bound = input.generics.type_params().next().map(|_| {
        let upcasts = upcasts::bounds(&event.cases, krate);
        let predicates = where_clause.map(|clause| &clause.predicates);
        quote!(where Self: ::core::marker::Send + ::core::marker::Sync + 'static, #(#upcasts,)* #predicates)
    });
    let where_clause = bound.or_else(|| where_clause.map(|clause| quote!(#clause)));
    let kinds = kinds(&event.cases, krate);
    let shape = shape(&event.shape, krate);
    let upcasts = upcasts::constant(&event.cases, krate);
    let upcasts_check = upcasts::check(input, &event.cases, krate);
    let kind_index = kind_index(&event.cases);
    let aggregate_id = aggregate_id(&event.cases, krate);
    quote! {
        #[automatically_derived]
        #[allow(deprecated)]
        impl #impl_generics #krate::OutboxEvent for #ident #ty_generics #where_clause {
            const KINDS: &'static [#krate::event::EventKind] = &[#(#kinds),*];
            const SHAPE: #krate::event::PayloadShape = #shape;
            #upcasts

            fn kind(&self) -> &'static #krate::event::EventKind {
                &<Self as #krate::OutboxEvent>::KINDS[#kind_index]
            }

            #aggregate_id
        }

        #upcasts_check
    }
}

fn kinds(cases: &Cases, krate: &Path) -> Vec<TokenStream> {
    match cases {
        Cases::Struct(case) => vec![kind(&case.kind, None, krate)],
        Cases::Enum(variants) => {
            variants.iter().map(|variant| kind(&variant.case.kind, variant.name.as_ref(), krate)).collect()
        }
    }
}

fn kind(kind: &Kind, name: Option<&VariantName>, krate: &Path) -> TokenStream {
    let Kind { event_type, version, topic, aggregate } = kind;
    let aggregate = option(aggregate.as_ref());
    let variant = option(name.map(|VariantName { serialized, deserialized, unit }| {
        quote! {
            #krate::event::EventVariant {
                serialized: #serialized,
                deserialized: #deserialized,
                unit: #unit,
            }
        }
    }));
    quote! {
        #krate::event::EventKind {
            event_type: #event_type,
            version: #version,
            topic: #topic,
            aggregate_type: #aggregate,
            variant: #variant,
        }
    }
}

fn option<T: quote::ToTokens>(value: Option<T>) -> TokenStream {
    match value {
        Some(value) => quote!(::core::option::Option::Some(#value)),
        None => quote!(::core::option::Option::None),
    }
}

fn shape(shape: &Shape, krate: &Path) -> TokenStream {
    let shape = match shape {
        Shape::Plain => quote!(Plain),
        Shape::External => quote!(ExternallyTagged),
        Shape::Internal { tag } => quote!(InternallyTagged { tag: #tag }),
        Shape::Adjacent { tag, content } => quote!(AdjacentlyTagged { tag: #tag, content: #content }),
    };
    quote!(#krate::event::PayloadShape::#shape)
}

fn kind_index(cases: &Cases) -> TokenStream {
    match cases {
        Cases::Struct(_) => quote!(0),
        Cases::Enum(variants) => {
            let arms = variants.iter().enumerate().map(|(index, variant)| {
                let ident = &variant.ident;
                quote!(Self::#ident { .. } => #index)
            });
            quote!(match self { #(#arms),* })
        }
    }
}

/// The method, where the default of the trait (none) will not do.
fn aggregate_id(cases: &Cases, krate: &Path) -> Option<TokenStream> {
    let body = match cases {
        Cases::Struct(case) => match case.aggregate_id.as_ref()? {
            AggregateId::Field { member, ty, .. } => {
                display(&quote_spanned!(ty.span()=> &self.#member), ty.span(), krate)
            }
            AggregateId::Expression { expression, .. } => {
                display(&reference(expression), expression.span(), krate)
            }
        },
        Cases::Enum(variants) if variants.iter().all(|variant| variant.case.aggregate_id.is_none()) => {
            return None;
        }
        Cases::Enum(variants) => {
            let arms = variants.iter().map(|variant| arm(variant, krate));
            quote!(match self { #(#arms),* })
        }
    };
    Some(quote! {
        // An expression names the fields that it wants; the others are bound for nothing.
        #[allow(unused_variables)]
        fn aggregate_id(&self) -> ::core::option::Option<::std::string::String> {
            #body
        }
    })
}

fn arm(variant: &Variant, krate: &Path) -> TokenStream {
    let ident = &variant.ident;
    match &variant.case.aggregate_id {
        None => quote!(Self::#ident { .. } => ::core::option::Option::None),
        Some(AggregateId::Field { member, ty, .. }) => {
            let id = display(&quote!(__id), ty.span(), krate);
            quote!(Self::#ident { #member: __id, .. } => #id)
        }
        Some(AggregateId::Expression { expression, .. }) => {
            let fields = bound_fields(&variant.fields);
            let id = display(&reference(expression), expression.span(), krate);
            quote!(Self::#ident { #fields } => #id)
        }
    }
}

/// Every field under its own name; those of a tuple as `_0`, `_1`, ..
fn bound_fields(fields: &Fields) -> TokenStream {
    let bindings = fields.members().map(|member| match &member {
        syn::Member::Named(name) => quote!(#name),
        syn::Member::Unnamed(index) => {
            let name = quote::format_ident!("_{}", index.index);
            quote!(#member: #name)
        }
    });
    quote!(#(#bindings),*)
}

fn reference(expression: &Expr) -> TokenStream {
    quote_spanned!(expression.span()=> &(#expression))
}

/// The call is spanned at what it displays: so is the error where that has no `Display`.
fn display(id: &TokenStream, span: proc_macro2::Span, krate: &Path) -> TokenStream {
    quote_spanned!(span=> #krate::event::__private::aggregate_id(#id))
}
