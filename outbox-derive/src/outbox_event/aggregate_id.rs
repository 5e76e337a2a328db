//! Where the aggregate id of an event comes from: a field, or an expression.

use proc_macro2::Span;
use syn::{Expr, Fields, Ident, Member, Type};

use crate::attributes::{Attributes, Errors, Place};

const FIELD: Place = Place { name: "a field", keys: &["aggregate_id"] };

/// Where the id comes from.
#[derive(Clone)]
pub(super) enum AggregateId {
    /// `#[outbox(aggregate_id)]` on a field.
    Field {
        /// The user's word, for errors.
        key: Ident,
        member: Member,
        ty: Type,
    },
    /// `aggregate_id = expression` on the type or on a variant.
    Expression {
        /// The user's word, for errors.
        key: Ident,
        expression: Expr,
    },
}

impl AggregateId {
    /// The user's word.
    pub(super) fn span(&self) -> Span {
        match self {
            Self::Field { key, .. } | Self::Expression { key, .. } => key.span(),
        }
    }
}

/// The expression that stands on a type or on a variant.
pub(super) fn on_item(attributes: &mut Attributes) -> syn::Result<Option<AggregateId>> {
    let Some(entry) = attributes.take("aggregate_id") else { return Ok(None) };
    let key = entry.key.clone();
    let expression = entry
        .expr("aggregate_id = self.order_id`, or `#[outbox(aggregate_id)]` on the field that holds it")?;
    Ok(Some(AggregateId::Expression { key, expression }))
}

/// The one field that is marked.
pub(super) fn on_fields(fields: &Fields) -> syn::Result<Option<AggregateId>> {
    let mut errors = Errors::default();
    let mut found: Option<AggregateId> = None;
    for (field, member) in fields.iter().zip(fields.members()) {
        let marked = Attributes::collect(&field.attrs, FIELD).and_then(|mut attributes| {
            attributes
                .take("aggregate_id")
                .map(|entry| entry.flag("on a field, `aggregate_id` stands alone; the field is its value"))
                .transpose()
        });
        let Some(Some(key)) = errors.keep(marked) else { continue };
        if found.is_some() {
            errors
                .push(syn::Error::new(key.span(), "an event has one aggregate id; another field is marked"));
        } else {
            found = Some(AggregateId::Field { key, member, ty: field.ty.clone() });
        }
    }
    errors.into_result().map(|()| found)
}

/// The one of the two that is there.
pub(super) fn either(
    item: Option<AggregateId>,
    field: Option<AggregateId>,
) -> syn::Result<Option<AggregateId>> {
    match (item, field) {
        (Some(_), Some(field)) => Err(syn::Error::new(
            field.span(),
            "an event has one aggregate id; `aggregate_id = ..` is given as well",
        )),
        (item, field) => Ok(item.or(field)),
    }
}
