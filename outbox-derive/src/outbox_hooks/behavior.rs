//! The impl that the attribute stands on, checked.

use proc_macro2::TokenStream;
use quote::format_ident;
use syn::{ImplItem, ItemImpl, Path, Type, spanned::Spanned as _};

use crate::attributes::Errors;

/// The hooks of SeaORM's `ActiveModelBehavior`.
pub(super) const METHODS: [&str; 4] = ["before_save", "after_save", "before_delete", "after_delete"];

/// `impl ActiveModelBehavior for ActiveModel`.
pub(super) struct Behavior {
    pub(super) item: ItemImpl,
    /// The path of the active model, as the user wrote it.
    pub(super) active_model: Path,
}

impl Behavior {
    pub(super) fn read(item: TokenStream) -> syn::Result<Self> {
        const EXPECTED: &str = "expected `impl ActiveModelBehavior for ActiveModel { .. }`";
        let item: ItemImpl = syn::parse2(item).map_err(|error| syn::Error::new(error.span(), EXPECTED))?;
        match &item.trait_ {
            Some((None, path, _))
                if path.segments.last().is_some_and(|last| last.ident == "ActiveModelBehavior") => {}
            Some((_, path, _)) => return Err(syn::Error::new(path.span(), EXPECTED)),
            None => return Err(syn::Error::new(item.self_ty.span(), EXPECTED)),
        }
        if !item.generics.params.is_empty() {
            return Err(syn::Error::new(item.generics.span(), "an entity has no generic parameters"));
        }
        let active_model = match &*item.self_ty {
            Type::Path(path) if path.qself.is_none() && ends_in_active_model(&path.path) => path.path.clone(),
            other => return Err(syn::Error::new(other.span(), EXPECTED)),
        };
        let behavior = Self { item, active_model };
        behavior.refuse_expanded()?;
        behavior.refuse_conditional()?;
        Ok(behavior)
    }

    /// The path of another item of the entity's module.
    pub(super) fn sibling(&self, name: &str) -> Path {
        let mut path = self.active_model.clone();
        if let Some(last) = path.segments.last_mut() {
            last.ident = format_ident!("{name}", span = last.ident.span());
        }
        path
    }

    /// A hook that is compiled only at times would take our call in it along, and nothing would be captured.
    fn refuse_conditional(&self) -> syn::Result<()> {
        let mut errors = Errors::default();
        for item in &self.item.items {
            let ImplItem::Fn(method) = item else { continue };
            if !METHODS.iter().any(|hook| method.sig.ident == hook) {
                continue;
            }
            for attribute in &method.attrs {
                if attribute.path().is_ident("cfg") || attribute.path().is_ident("cfg_attr") {
                    errors.push(syn::Error::new(
                        attribute.span(),
                        format!(
                            "where `{}` is compiled out, so are the events; put the condition inside of its body",
                            method.sig.ident
                        ),
                    ));
                }
            }
        }
        errors.into_result()
    }

    /// `#[async_trait]` above this attribute has already turned `async fn` into something else.
    fn refuse_expanded(&self) -> syn::Result<()> {
        let mut errors = Errors::default();
        for item in &self.item.items {
            let ImplItem::Fn(method) = item else { continue };
            if METHODS.iter().any(|hook| method.sig.ident == hook) && method.sig.asyncness.is_none() {
                errors.push(syn::Error::new(
                    method.sig.ident.span(),
                    format!(
                        "expected `async fn {}`; where `#[async_trait]` stands above `#[outbox_hooks]`, swap the \
                         two lines",
                        method.sig.ident
                    ),
                ));
            }
        }
        errors.into_result()
    }
}

fn ends_in_active_model(path: &Path) -> bool {
    path.segments.last().is_some_and(|last| last.ident == "ActiveModel" && last.arguments.is_none())
}

#[cfg(test)]
mod tests {
    use quote::quote;

    use super::Behavior;

    #[test]
    fn a_hook_compiled_only_at_times_does_not_take_the_capture_along() {
        for condition in [quote!(cfg(feature = "audit")), quote!(cfg_attr(test, cfg(test)))] {
            let refused = Behavior::read(quote! {
                impl ActiveModelBehavior for ActiveModel {
                    #[#condition]
                    async fn after_save<C>(model: Model, _: &C, _: bool) -> Result<Model, DbErr> { Ok(model) }
                }
            });
            let refused = refused.err().expect("the condition").to_string();
            assert!(refused.contains("`after_save` is compiled out"), "found {refused}");
        }
    }

    #[test]
    fn another_attribute_on_a_hook_stays() {
        let read = Behavior::read(quote! {
            impl ActiveModelBehavior for ActiveModel {
                #[tracing::instrument]
                async fn after_save<C>(model: Model, _: &C, _: bool) -> Result<Model, DbErr> { Ok(model) }
            }
        });
        assert!(read.is_ok());
    }
}
