//! The implementation of `Tree` for a struct, and what cannot have one.

use proc_macro2::TokenStream;
use quote::{ToTokens, format_ident, quote};
use syn::spanned::Spanned;
use syn::{Data, DeriveInput, Error, Fields, GenericParam, Generics, Ident, Member, TypeParam, TypeParamBound};

/// The implementation.
///
/// # Errors
/// One sentence for an enum, a union, and generics other than one type parameter and sizes.
pub(crate) fn expand(input: &DeriveInput) -> Result<TokenStream, Error> {
    let name = &input.ident;
    let fields = match &input.data {
        Data::Struct(data) => &data.fields,
        Data::Enum(data) => {
            return Err(refusal(&data.enum_token, "an enum", "a struct, with the choice in a `Static` field"));
        }
        Data::Union(data) => return Err(refusal(&data.union_token, "a union", "a struct")),
    };
    let leaf = leaf_parameter(name, &input.generics)?;
    let library = library();
    let (_, arguments, _) = input.generics.split_for_impl();
    let mapped = mapped_arguments(&input.generics);
    let (bare, of) = (without_defaults(&input.generics), &leaf.ident);
    let names: Vec<(Member, String)> = fields.members().map(|member| (member.clone(), path_of(&member))).collect();
    let (members, paths): (Vec<_>, Vec<_>) = names.into_iter().unzip();
    let types: Vec<_> = fields.iter().map(|field| &field.ty).collect();
    // A struct without fields reads none of these.
    let unused = matches!(fields, Fields::Unit).then(|| quote!(#[allow(unused_variables)]));
    Ok(quote! {
        #[automatically_derived]
        impl #bare ::#library::Tree<#of> for #name #arguments {
            type With<__M: ::#library::Leaf> = #name #mapped;
            #unused
            fn each<'__a>(&'__a self, path: &str, f: &mut dyn FnMut(&str, ::#library::Part<'__a, #of>)) {
                #(<#types as ::#library::Tree<#of>>::each(&self.#members, &::#library::join_path(path, #paths), f);)*
            }
            #unused
            fn try_map<__M: ::#library::Leaf, __E>(
                &self,
                path: &str,
                f: &mut dyn FnMut(&str, &#of) -> ::core::result::Result<__M, __E>,
            ) -> ::core::result::Result<Self::With<__M>, __E> {
                ::core::result::Result::Ok(#name {
                    #(#members: <#types as ::#library::Tree<#of>>::try_map(
                        &self.#members, &::#library::join_path(path, #paths), f)?,)*
                })
            }
            fn again<__M: ::#library::Leaf, __N: ::#library::Leaf>(
                tree: <Self::With<__M> as ::#library::Tree<__M>>::With<__N>,
            ) -> Self::With<__N> {
                tree
            }
        }
    })
}

/// The crate whose items the generated code uses: the user's dependency, not one of this crate.
fn library() -> Ident {
    format_ident!("spiq")
}

/// The error for something that cannot be a tree.
fn refusal(at: &impl Spanned, what: &str, instead: &str) -> Error {
    Error::new(at.span(), format!("{what} cannot derive Tree; use {instead}"))
}

/// The struct's type parameter.
fn leaf_parameter<'a>(name: &Ident, generics: &'a Generics) -> Result<&'a TypeParam, Error> {
    let example = format!("`struct {name}<T> {{ weight: T }}`");
    if let Some(lifetime) = generics.lifetimes().next() {
        return Err(refusal(lifetime, "a struct with a lifetime", "owned fields"));
    }
    if let Some(clause) = &generics.where_clause {
        return Err(refusal(
            clause,
            "a struct with a where clause",
            &format!("a type parameter without bounds, as in {example}"),
        ));
    }
    let mut types = generics.type_params();
    let leaf = types.next().ok_or_else(|| {
        refusal(
            name,
            "a struct without a type parameter",
            &format!("one parameter for the type of the leaves, as in {example}"),
        )
    })?;
    if let Some(second) = types.next() {
        return Err(refusal(
            second,
            "a struct with two type parameters",
            &format!("one parameter for the type of all leaves, as in {example}"),
        ));
    }
    let is_leaf = |bound: &TypeParamBound| match bound {
        TypeParamBound::Trait(bound) => bound.path.segments.last().is_some_and(|segment| segment.ident == "Leaf"),
        _ => false,
    };
    match leaf.bounds.iter().find(|bound| !is_leaf(bound)) {
        Some(bound) => {
            let what = format!("a struct that bounds `{}`", leaf.ident);
            Err(refusal(bound, &what, &format!("a type parameter without bounds, as in {example}")))
        }
        None => Ok(leaf),
    }
}

/// The parameters of the implementation: those of the struct, where the leaves are bounded and nothing has a default.
fn without_defaults(generics: &Generics) -> TokenStream {
    let library = library();
    let parameters = generics.params.iter().filter_map(|parameter| match parameter {
        GenericParam::Type(leaf) => {
            let leaf = &leaf.ident;
            Some(quote!(#leaf: ::#library::Leaf))
        }
        GenericParam::Const(size) => {
            let (name, ty) = (&size.ident, &size.ty);
            Some(quote!(const #name: #ty))
        }
        GenericParam::Lifetime(_) => None,
    });
    quote!(<#(#parameters),*>)
}

/// The arguments of the same struct with leaves of type `__M`.
fn mapped_arguments(generics: &Generics) -> TokenStream {
    let arguments = generics.params.iter().filter_map(|parameter| match parameter {
        GenericParam::Type(_) => Some(quote!(__M)),
        GenericParam::Const(size) => Some(size.ident.to_token_stream()),
        GenericParam::Lifetime(_) => None,
    });
    quote!(<#(#arguments),*>)
}

/// The path of a field: its name, or its index.
fn path_of(member: &Member) -> String {
    match member {
        Member::Named(name) => name.to_string().trim_start_matches("r#").to_owned(),
        Member::Unnamed(index) => index.index.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(text: &str) -> String {
        let input = syn::parse_str(text).expect("a Rust item");
        expand(&input).expect_err("not a tree").to_string()
    }

    #[test]
    fn each_refusal_is_one_sentence_with_what_to_do() {
        let parameter = "as in `struct P<T> { weight: T }`";
        let cases = [
            (
                "enum P<T> { A(T) }",
                "an enum cannot derive Tree; use a struct, with the choice in a `Static` field".to_owned(),
            ),
            ("union P<T> { a: T }", "a union cannot derive Tree; use a struct".to_owned()),
            (
                "struct P { a: Tensor }",
                format!(
                    "a struct without a type parameter cannot derive Tree; use one parameter for the type of the leaves, {parameter}"
                ),
            ),
            (
                "struct P<T, U> { a: T, b: U }",
                format!(
                    "a struct with two type parameters cannot derive Tree; use one parameter for the type of all leaves, {parameter}"
                ),
            ),
            (
                "struct P<'a, T> { a: &'a T }",
                "a struct with a lifetime cannot derive Tree; use owned fields".to_owned(),
            ),
            (
                "struct P<T: Clone> { a: T }",
                format!(
                    "a struct that bounds `T` cannot derive Tree; use a type parameter without bounds, {parameter}"
                ),
            ),
            (
                "struct P<T> where T: Clone { a: T }",
                format!(
                    "a struct with a where clause cannot derive Tree; use a type parameter without bounds, {parameter}"
                ),
            ),
        ];
        for (text, expected) in cases {
            assert_eq!(message(text), expected, "{text}");
        }
    }

    #[test]
    fn the_parameters_are_carried_over() {
        let input = syn::parse_str("struct P<const N: usize, T = Tensor> { a: [T; N], r#in: T }").expect("a struct");
        let text = expand(&input).expect("a tree").to_string();
        assert!(
            text.contains("impl < const N : usize , T : :: spiq :: Leaf > :: spiq :: Tree < T > for P < N , T >"),
            "{text}"
        );
        assert!(text.contains("= P < N , __M >"), "{text}");
        assert!(text.contains("\"in\""), "{text}");
    }
}
