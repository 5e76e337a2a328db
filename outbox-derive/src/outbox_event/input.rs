//! What the user wrote on the type, its variants and its fields, checked.

use syn::{Data, DataEnum, DataStruct, DeriveInput, Fields, Ident, Path, spanned::Spanned as _};

use super::{
    aggregate_id::{self, AggregateId},
    kind::{Defaults, Kind},
    serde_shape::{Shape, VariantName},
};
use crate::attributes::{Attributes, Errors, Place};

const STRUCT: Place = Place {
    name: "an event struct",
    keys: &["event_type", "version", "upcast_from", "topic", "aggregate", "aggregate_id", "crate"],
};
const ENUM: Place = Place {
    name: "an event enum (each variant has its own `event_type`)",
    keys: &["version", "topic", "aggregate", "aggregate_id", "crate"],
};
const VARIANT: Place = Place {
    name: "an event variant",
    keys: &["event_type", "version", "upcast_from", "topic", "aggregate", "aggregate_id"],
};

/// The whole type.
pub(super) struct Event {
    pub(super) crate_path: Option<Path>,
    pub(super) shape: Shape,
    pub(super) cases: Cases,
}

/// The kinds of event that a type is.
pub(super) enum Cases {
    /// One.
    Struct(Box<Case>),
    /// One a variant.
    Enum(Vec<Variant>),
}

/// One kind of event.
pub(super) struct Case {
    pub(super) kind: Kind,
    /// The type of the version before.
    pub(super) upcast_from: Option<Path>,
    pub(super) aggregate_id: Option<AggregateId>,
}

/// One variant of an enum.
pub(super) struct Variant {
    pub(super) ident: Ident,
    pub(super) fields: Fields,
    /// `None` where serde writes it without a tag.
    pub(super) name: Option<VariantName>,
    pub(super) case: Case,
}

impl Case {
    /// Whether the older versions of an event type become this one.
    fn takes_older(&self, kind: &Kind) -> bool {
        self.upcast_from.is_some() && self.kind.event_type.value() == kind.event_type.value()
    }
}

impl Event {
    pub(super) fn read(input: &DeriveInput) -> syn::Result<Self> {
        if let Some(lifetime) = input.generics.lifetimes().next() {
            return Err(syn::Error::new(
                lifetime.span(),
                "an event outlives the call that raises it; expected owned fields and no lifetime",
            ));
        }
        match &input.data {
            Data::Struct(data) => Self::of_struct(input, data),
            Data::Enum(data) => Self::of_enum(input, data),
            Data::Union(data) => Err(syn::Error::new(
                data.union_token.span(),
                "expected a struct or an enum; serde cannot write a union",
            )),
        }
    }

    fn of_struct(input: &DeriveInput, data: &DataStruct) -> syn::Result<Self> {
        let mut attributes = Attributes::collect(&input.attrs, STRUCT)?;
        let mut errors = Errors::default();
        let crate_path = errors.keep(crate_path(&mut attributes)).flatten();
        let upcast_from = errors.keep(upcast_from(&mut attributes)).flatten();
        let whole = errors.keep(aggregate_id::on_item(&mut attributes)).flatten();
        let field = errors.keep(aggregate_id::on_fields(&data.fields)).flatten();
        let aggregate_id = errors.keep(aggregate_id::either(whole, field)).flatten();
        let defaults = Defaults::default();
        let kind = errors.keep(Kind::read(&mut attributes, &input.ident, &defaults, aggregate_id.as_ref()));
        errors.into_result()?;
        let kind = kind.expect("a kind that could not be read left an error");
        Ok(Self {
            crate_path,
            shape: Shape::Plain,
            cases: Cases::Struct(Box::new(Case { kind, upcast_from, aggregate_id })),
        })
    }

    fn of_enum(input: &DeriveInput, data: &DataEnum) -> syn::Result<Self> {
        if data.variants.is_empty() {
            return Err(syn::Error::new_spanned(
                &input.ident,
                "an event enum without variants can never be raised; expected at least one",
            ));
        }
        let mut attributes = Attributes::collect(&input.attrs, ENUM)?;
        let mut errors = Errors::default();
        let crate_path = errors.keep(crate_path(&mut attributes)).flatten();
        let whole = errors.keep(aggregate_id::on_item(&mut attributes)).flatten();
        let defaults = errors.keep(Defaults::read(&mut attributes)).unwrap_or_default();
        let (shape, mut names) = Shape::of(input)?;

        let mut variants: Vec<Variant> = Vec::new();
        for variant in &data.variants {
            let name = names.remove(&variant.ident);
            let Some(case) = errors.keep(read_variant(variant, &defaults, whole.as_ref())) else {
                continue;
            };
            if let Some(twin) = variants.iter().find(|earlier| earlier.case.kind.is_twin_of(&case.kind)) {
                errors.push(syn::Error::new(
                    case.kind.event_type.span(),
                    format!(
                        "`{}` already has this event type and version; a reader could not tell them apart",
                        twin.ident
                    ),
                ));
            }
            if let Some(path) = &case.upcast_from
                && let Some(other) = variants.iter().find(|earlier| earlier.case.takes_older(&case.kind))
            {
                errors.push(syn::Error::new_spanned(
                    path,
                    format!(
                        "`{}` already takes the older versions of this event type; expected one `upcast_from`, \
                         on the newest",
                        other.ident
                    ),
                ));
            }
            variants.push(Variant {
                ident: variant.ident.clone(),
                fields: variant.fields.clone(),
                name,
                case,
            });
        }
        errors.into_result()?;
        Ok(Self { crate_path, shape, cases: Cases::Enum(variants) })
    }
}

fn read_variant(
    variant: &syn::Variant,
    defaults: &Defaults,
    whole: Option<&AggregateId>,
) -> syn::Result<Case> {
    let mut attributes = Attributes::collect(&variant.attrs, VARIANT)?;
    let mut errors = Errors::default();
    let upcast_from = errors.keep(upcast_from(&mut attributes)).flatten();
    let own = errors.keep(aggregate_id::on_item(&mut attributes)).flatten();
    let field = errors.keep(aggregate_id::on_fields(&variant.fields)).flatten();
    let aggregate_id = errors.keep(aggregate_id::either(own, field)).flatten().or_else(|| whole.cloned());
    let kind = errors.keep(Kind::read(&mut attributes, &variant.ident, defaults, aggregate_id.as_ref()));
    errors.into_result()?;
    let kind = kind.expect("a kind that could not be read left an error");
    Ok(Case { kind, upcast_from, aggregate_id })
}

fn upcast_from(attributes: &mut Attributes) -> syn::Result<Option<Path>> {
    attributes.take("upcast_from").map(|entry| entry.path("upcast_from = OrderPlacedV1")).transpose()
}

fn crate_path(attributes: &mut Attributes) -> syn::Result<Option<Path>> {
    attributes.take("crate").map(|entry| entry.path("crate = my_crate::outbox")).transpose()
}
