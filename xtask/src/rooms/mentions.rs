//! Collects the paths, macros and `unsafe` code in a source file. Unit tests are excluded: they may import anything.

use std::collections::BTreeSet;

use proc_macro2::{TokenStream, TokenTree};
use syn::visit::{self, Visit};
use syn::{Attribute, File, Item, ItemMod, UseTree, Visibility};

/// The parts of a file that determine which rooms it depends on.
#[derive(Debug, Default)]
pub struct Mentions {
    /// Paths with more than one segment, in imports and elsewhere: `["crate", "nn", "Layer"]`.
    pub paths: BTreeSet<Vec<String>>,
    /// Macros called, with their `!`: `println!`.
    pub macros: BTreeSet<String>,
    /// Whether there is an `unsafe` block, function or impl.
    pub is_unsafe: bool,
}

/// Collects a file's mentions.
pub fn of(file: &File) -> Mentions {
    let mut mentions = Mentions::default();
    mentions.visit_file(file);
    mentions
}

impl<'ast> Visit<'ast> for Mentions {
    fn visit_item(&mut self, item: &'ast Item) {
        if !is_test(attributes(item)) {
            visit::visit_item(self, item);
        }
    }

    fn visit_item_use(&mut self, item: &'ast syn::ItemUse) {
        each_import(&item.tree, &mut Vec::new(), &mut |path, _| _ = self.paths.insert(path.to_vec()));
    }

    fn visit_path(&mut self, path: &'ast syn::Path) {
        let names: Vec<String> = path.segments.iter().map(|segment| segment.ident.to_string()).collect();
        if names.len() > 1 {
            self.paths.insert(names);
        }
        visit::visit_path(self, path);
    }

    fn visit_macro(&mut self, call: &'ast syn::Macro) {
        if let Some(name) = call.path.segments.last() {
            self.macros.insert(format!("{}!", name.ident));
        }
        self.visit_path(&call.path);
        self.visit_tokens(call.tokens.clone());
    }

    fn visit_expr_unsafe(&mut self, block: &'ast syn::ExprUnsafe) {
        self.is_unsafe = true;
        visit::visit_expr_unsafe(self, block);
    }

    fn visit_item_impl(&mut self, item: &'ast syn::ItemImpl) {
        self.is_unsafe |= item.unsafety.is_some();
        visit::visit_item_impl(self, item);
    }
}

impl Mentions {
    /// Collects paths, macros and `unsafe` from a macro call's tokens.
    fn visit_tokens(&mut self, tokens: TokenStream) {
        let mut path: Vec<String> = Vec::new();
        let mut colons = 0;
        for token in tokens {
            match &token {
                TokenTree::Punct(punct) if punct.as_char() == ':' => colons += 1,
                TokenTree::Ident(name) => {
                    self.is_unsafe |= name == "unsafe";
                    if colons != 2 {
                        self.end_path(&mut path);
                    }
                    path.push(name.to_string());
                    colons = 0;
                }
                other => {
                    if let TokenTree::Punct(punct) = other
                        && punct.as_char() == '!'
                        && let Some(name) = path.last()
                    {
                        self.macros.insert(format!("{name}!"));
                    }
                    self.end_path(&mut path);
                    colons = 0;
                    if let TokenTree::Group(group) = other {
                        self.visit_tokens(group.stream());
                    }
                }
            }
        }
        self.end_path(&mut path);
    }

    fn end_path(&mut self, path: &mut Vec<String>) {
        let path = std::mem::take(path);
        if path.len() > 1 {
            self.paths.insert(path);
        }
    }
}

/// Names of the items defined in a file.
pub fn defined(file: &File) -> BTreeSet<String> {
    file.items.iter().filter_map(name).collect()
}

/// A file's re-exports: name and path. The name of a glob is `*`.
pub fn exported(file: &File) -> Vec<(String, Vec<String>)> {
    let mut exported = Vec::new();
    for item in &file.items {
        if let Item::Use(item) = item
            && !matches!(item.vis, Visibility::Inherited)
        {
            each_import(&item.tree, &mut Vec::new(), &mut |path, name| {
                exported.push((name.to_owned(), path.to_vec()));
            });
        }
    }
    exported
}

/// Calls `f` with each path in an import and the name it is bound to.
fn each_import(tree: &UseTree, path: &mut Vec<String>, f: &mut dyn FnMut(&[String], &str)) {
    let mut last = |name: String, called: &str| {
        // `use fields::{self}` imports the path so far.
        let name = (name != "self").then_some(name);
        let whole: Vec<String> = path.iter().cloned().chain(name).collect();
        let called = if called == "self" { whole.last().cloned().unwrap_or_default() } else { called.to_owned() };
        f(&whole, &called);
    };
    match tree {
        UseTree::Name(name) => last(name.ident.to_string(), &name.ident.to_string()),
        UseTree::Rename(rename) => last(rename.ident.to_string(), &rename.rename.to_string()),
        UseTree::Glob(_) => f(path, "*"),
        UseTree::Path(inner) => {
            path.push(inner.ident.to_string());
            each_import(&inner.tree, path, f);
            path.pop();
        }
        UseTree::Group(group) => group.items.iter().for_each(|tree| each_import(tree, path, f)),
    }
}

fn is_test(attributes: &[Attribute]) -> bool {
    attributes.iter().any(|attribute| match &attribute.meta {
        syn::Meta::List(list) => {
            let words = list.tokens.to_string();
            list.path.is_ident("cfg") && (words == "test" || words == "doctest")
        }
        _ => false,
    })
}

fn attributes(item: &Item) -> &[Attribute] {
    match item {
        Item::Mod(ItemMod { attrs, .. }) => attrs,
        Item::Fn(item) => &item.attrs,
        Item::Impl(item) => &item.attrs,
        Item::Use(item) => &item.attrs,
        Item::Struct(item) => &item.attrs,
        Item::Const(item) => &item.attrs,
        _ => &[],
    }
}

fn name(item: &Item) -> Option<String> {
    let ident = match item {
        Item::Const(item) => &item.ident,
        Item::Enum(item) => &item.ident,
        Item::Fn(item) => &item.sig.ident,
        Item::Macro(item) => item.ident.as_ref()?,
        Item::Static(item) => &item.ident,
        Item::Struct(item) => &item.ident,
        Item::Trait(item) => &item.ident,
        Item::Type(item) => &item.ident,
        Item::Union(item) => &item.ident,
        _ => return None,
    };
    Some(ident.to_string())
}
