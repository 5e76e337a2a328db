//! One entry of a list: `key`, `key = value` or `key(modifier) = value`.

use std::fmt::Display;

use syn::{
    Expr, ExprLit, Ident, Lit, LitInt, LitStr, Path, Token,
    ext::IdentExt as _,
    parenthesized,
    parse::{Parse, ParseStream},
};

/// One entry of a list.
#[derive(Clone)]
pub(crate) struct Entry {
    pub(crate) key: Ident,
    pub(crate) modifier: Option<Ident>,
    pub(crate) value: Option<Expr>,
}

impl Parse for Entry {
    fn parse(input: ParseStream<'_>) -> syn::Result<Self> {
        // `crate` is a keyword, and as good a key as any.
        let key = input.call(Ident::parse_any)?;
        let modifier = if input.peek(syn::token::Paren) {
            let content;
            parenthesized!(content in input);
            let modifier = content.call(Ident::parse_any)?;
            if !content.is_empty() {
                return Err(content.error("expected a single word"));
            }
            Some(modifier)
        } else {
            None
        };
        let value = match input.parse::<Option<Token![=]>>()? {
            Some(_) => Some(bare(input.parse()?)),
            None => None,
        };
        Ok(Self { key, modifier, value })
    }
}

/// A value that a `macro_rules` macro filled in comes in a group that nobody wrote.
fn bare(value: Expr) -> Expr {
    match value {
        Expr::Group(group) => bare(*group.expr),
        value => value,
    }
}

impl Entry {
    /// An error at the key.
    pub(crate) fn error(&self, message: impl Display) -> syn::Error {
        syn::Error::new(self.key.span(), message)
    }

    /// The value, whatever expression it is.
    pub(crate) fn expr(self, example: &str) -> syn::Result<Expr> {
        if let Some(modifier) = &self.modifier {
            return Err(syn::Error::new(
                modifier.span(),
                format!("`{}` takes no modifier; expected `{example}`", self.key),
            ));
        }
        let missing = self.error(format!("`{}` needs a value; expected `{example}`", self.key));
        self.value.ok_or(missing)
    }

    /// The value as a string literal.
    pub(crate) fn string(self, example: &str) -> syn::Result<LitStr> {
        match self.expr(example)? {
            Expr::Lit(ExprLit { lit: Lit::Str(text), .. }) => Ok(text),
            other => Err(syn::Error::new_spanned(other, format!("expected a string literal: `{example}`"))),
        }
    }

    /// The value as an integer literal.
    pub(crate) fn integer(self, example: &str) -> syn::Result<LitInt> {
        match self.expr(example)? {
            Expr::Lit(ExprLit { lit: Lit::Int(number), .. }) => Ok(number),
            other => Err(syn::Error::new_spanned(other, format!("expected a whole number: `{example}`"))),
        }
    }

    /// The value as a path.
    pub(crate) fn path(self, example: &str) -> syn::Result<Path> {
        match self.expr(example)? {
            Expr::Path(path) if path.qself.is_none() => Ok(path.path),
            other => Err(syn::Error::new_spanned(other, format!("expected a path: `{example}`"))),
        }
    }

    /// Nothing but the key.
    pub(crate) fn flag(self, hint: &str) -> syn::Result<Ident> {
        match (self.value, self.modifier) {
            (None, None) => Ok(self.key),
            (Some(value), _) => Err(syn::Error::new_spanned(value, hint)),
            (None, Some(modifier)) => Err(syn::Error::new_spanned(modifier, hint)),
        }
    }
}
