//! `#[derive(Tree)]`: a struct as a tree (`spiq::Tree`), whose leaves have the type of the struct's type parameter.

mod tree;

/// Implements `spiq::Tree` for a struct of trees with one type parameter, the type of its leaves.
///
/// The path of a field is its name, or its index in a tuple struct. A field that is not a tree, such as a number, is wrapped in
/// `spiq::Static`.
#[proc_macro_derive(Tree)]
pub fn tree(input: proc_macro::TokenStream) -> proc_macro::TokenStream {
    let expanded = syn::parse(input).and_then(|input| tree::expand(&input));
    expanded.unwrap_or_else(syn::Error::into_compile_error).into()
}
