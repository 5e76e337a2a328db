//! The one parser of `#[outbox(..)]` lists: every mistake is reported at its own token.

mod entry;

use proc_macro2::TokenStream;
use syn::{Attribute, Meta, parse::Parser, punctuated::Punctuated};

pub(crate) use entry::Entry;

/// A place that attributes stand in, and the keys it knows.
#[derive(Clone, Copy)]
pub(crate) struct Place {
    /// As the error calls it: "a struct".
    pub(crate) name: &'static str,
    /// The valid keys, in the order of the docs.
    pub(crate) keys: &'static [&'static str],
}

/// The entries of one place. Unknown and repeated keys are already refused.
pub(crate) struct Attributes {
    entries: Vec<Entry>,
}

impl Attributes {
    /// Reads every `#[outbox(..)]` of one place; several lists count as one.
    pub(crate) fn collect(attributes: &[Attribute], place: Place) -> syn::Result<Self> {
        let mut entries = Vec::new();
        for attribute in attributes.iter().filter(|attribute| attribute.path().is_ident("outbox")) {
            let Meta::List(list) = &attribute.meta else {
                return Err(syn::Error::new_spanned(
                    &attribute.meta,
                    format!("expected a list: `#[outbox({} = ..)]`", place.keys[0]),
                ));
            };
            entries.extend(list.parse_args_with(Punctuated::<Entry, syn::Token![,]>::parse_terminated)?);
        }
        Self::checked(entries, place)
    }

    /// Reads the list that an attribute macro was given.
    pub(crate) fn from_list(list: TokenStream, place: Place) -> syn::Result<Self> {
        let entries = Punctuated::<Entry, syn::Token![,]>::parse_terminated.parse2(list)?;
        Self::checked(entries.into_iter().collect(), place)
    }

    fn checked(entries: Vec<Entry>, place: Place) -> syn::Result<Self> {
        let mut errors = Errors::default();
        for (index, entry) in entries.iter().enumerate() {
            if !place.keys.iter().any(|key| entry.key == key) {
                errors.push(entry.error(format!(
                    "`{}` is no key of {}; expected {}",
                    entry.key,
                    place.name,
                    one_of(place.keys)
                )));
            } else if entries[..index].iter().any(|earlier| earlier.key == entry.key) {
                errors.push(entry.error(format!("`{}` is given twice", entry.key)));
            }
        }
        errors.into_result()?;
        Ok(Self { entries })
    }

    /// Takes the entry of a key, where there is one.
    pub(crate) fn take(&mut self, key: &str) -> Option<Entry> {
        let index = self.entries.iter().position(|entry| entry.key == key)?;
        Some(self.entries.swap_remove(index))
    }
}

/// All errors of one expansion, so that a user sees them at once.
#[derive(Default)]
pub(crate) struct Errors(Option<syn::Error>);

impl Errors {
    pub(crate) fn push(&mut self, error: syn::Error) {
        match &mut self.0 {
            Some(first) => first.combine(error),
            None => self.0 = Some(error),
        }
    }

    /// Keeps the error and goes on without the value.
    pub(crate) fn keep<T>(&mut self, result: syn::Result<T>) -> Option<T> {
        result.map_err(|error| self.push(error)).ok()
    }

    pub(crate) fn into_result(self) -> syn::Result<()> {
        self.0.map_or(Ok(()), Err)
    }
}

fn one_of(keys: &[&str]) -> String {
    let quoted: Vec<_> = keys.iter().map(|key| format!("`{key}`")).collect();
    match quoted.as_slice() {
        [only] => only.clone(),
        [all @ .., last] => format!("{} or {last}", all.join(", ")),
        [] => "none".to_owned(),
    }
}
