//! How serde writes the type, as serde's own derive reads it.

use std::collections::HashMap;

use serde_derive_internals::{
    Ctxt, Derive,
    ast::{Container, Data, Style},
    attr::TagType,
};
use syn::{DeriveInput, Ident};

/// How an enum is tagged.
pub(super) enum Shape {
    Plain,
    External,
    Internal { tag: String },
    Adjacent { tag: String, content: String },
}

/// How serde names a variant.
pub(super) struct VariantName {
    pub(super) serialized: String,
    pub(super) deserialized: String,
    pub(super) unit: bool,
}

impl Shape {
    /// The shape of an enum and the names of those variants that carry a tag.
    pub(super) fn of(input: &DeriveInput) -> syn::Result<(Self, HashMap<Ident, VariantName>)> {
        let errors = Ctxt::new();
        let container = Container::from_ast(&errors, input, Derive::Serialize);
        // Serde's own derive reports these, at the same tokens.
        let _ = errors.check();
        let Some(container) = container else { return Ok((Self::Plain, HashMap::new())) };
        let attributes = &container.attrs;
        // Written as another type: what that looks like cannot be seen from here.
        if attributes.type_into().is_some()
            || attributes.type_from().is_some()
            || attributes.type_try_from().is_some()
        {
            return Ok((Self::Plain, HashMap::new()));
        }
        let Data::Enum(variants) = &container.data else { return Ok((Self::Plain, HashMap::new())) };
        if let Some(skipped) = variants.iter().find(|variant| variant.attrs.skip_serializing()) {
            return Err(syn::Error::new(
                skipped.ident.span(),
                "serde skips this variant, so it can never be written as an event; \
                 expected one that serde writes",
            ));
        }
        let shape = match attributes.tag() {
            TagType::External => Self::External,
            TagType::Internal { tag } => Self::Internal { tag: tag.clone() },
            TagType::Adjacent { tag, content } => {
                Self::Adjacent { tag: tag.clone(), content: content.clone() }
            }
            TagType::None => return Ok((Self::Plain, HashMap::new())),
        };
        let names = variants
            .iter()
            .filter(|variant| !variant.attrs.untagged())
            .map(|variant| {
                let name = variant.attrs.name();
                let name = VariantName {
                    serialized: name.serialize_name().to_owned(),
                    deserialized: name.deserialize_name().to_owned(),
                    unit: matches!(variant.style, Style::Unit),
                };
                (variant.ident.clone(), name)
            })
            .collect();
        Ok((shape, names))
    }
}
