//! Defines how a notebook displays each type.

use std::collections::BTreeMap;
use std::fmt::Display;

use spiq_hlo::{Array, Function, GraphErrors, Tensor};

#[cfg(feature = "pictures")]
use crate::display::Picture;
use crate::display::{self, Table};
use crate::error::Error;
use crate::native;
use crate::quant::Report;
#[cfg(feature = "pictures")]
use crate::train::Record;

/// Displayed content in one or more forms, of which the notebook picks the richest: (media type, text).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Content(Vec<(&'static str, String)>);

impl Content {
    #[cfg(feature = "pictures")]
    fn picture(picture: &Picture) -> Content {
        Content(vec![("image/svg+xml", picture.svg().to_owned())])
    }

    fn table(table: &Table) -> Content {
        // Notebooks that are not trusted show the text.
        Content(vec![("text/html", table.html()), ("text/plain", table.to_string())])
    }

    fn text(text: &impl ToString) -> Content {
        Content(vec![("text/plain", text.to_string())])
    }

    /// The forms: (media type, text).
    pub fn forms(&self) -> &[(&'static str, String)] {
        &self.0
    }

    /// The form that evcxr recognizes as content instead of output.
    fn evcxr(&self) -> String {
        let form = |(media, text): &(&str, String)| {
            format!("EVCXR_BEGIN_CONTENT {media}\n{}\nEVCXR_END_CONTENT\n", text.trim_end())
        };
        self.0.iter().map(form).collect()
    }
}

/// A value that a notebook displays as a picture or table when a cell ends with it.
///
/// ```
/// use spiq::{Array, notebook::Show};
/// let forms = Array::new([2, 2], [0.5f32, 1.0, 1.5, 2.0])?.content();
/// assert_eq!(forms.forms()[0].0, "image/svg+xml");
/// # Ok::<(), spiq::ArrayError>(())
/// ```
pub trait Show {
    /// The displayed content.
    fn content(&self) -> Content;

    /// Displays the value: prints it in the form that evcxr recognizes as content. evcxr calls the method of this name.
    fn evcxr_display(&self) {
        crate::places::name_cells();
        print!("{}", self.content().evcxr());
    }
}

#[cfg(feature = "pictures")]
impl Show for Picture {
    fn content(&self) -> Content {
        Content::picture(self)
    }
}

impl Show for Table {
    fn content(&self) -> Content {
        Content::table(self)
    }
}

/// A matrix as a heat map, any other array as a table of its type, range and first values.
impl Show for Array {
    fn content(&self) -> Content {
        #[cfg(feature = "pictures")]
        if let Ok(picture) = display::heat_map(self)
            && self.ty().count() > 1
        {
            return Content::picture(&picture);
        }
        Content::table(&display::describe(self))
    }
}

impl Show for Vec<Array> {
    fn content(&self) -> Content {
        let named = self.iter().enumerate().map(|(index, array)| (index.to_string(), array.clone()));
        Content::table(&display::parameters(&named.collect()))
    }
}

/// Parameters by path.
impl Show for BTreeMap<String, Array> {
    fn content(&self) -> Content {
        Content::table(&display::parameters(self))
    }
}

/// The nodes of the function.
impl Show for Function {
    fn content(&self) -> Content {
        Content::table(&display::nodes(self))
    }
}

/// The nodes that compute the tensor, or their errors.
impl Show for Tensor {
    fn content(&self) -> Content {
        self.graph().finish(std::slice::from_ref(self)).content()
    }
}

impl Show for Report {
    fn content(&self) -> Content {
        Content::table(&self.table())
    }
}

/// Which units the products reach, as a table; the text contains the compiler's full report.
impl Show for native::Report {
    fn content(&self) -> Content {
        let head = Table::new(native::Report::HEAD);
        let table = self.cells().into_iter().fold(head, Table::row);
        let caption = format!("compiled for {}: {}", self.target, self.summary());
        Content(vec![("text/html", table.caption(caption).html()), ("text/plain", self.to_string())])
    }
}

/// The training curves of a run.
#[cfg(feature = "pictures")]
impl Show for [Record] {
    fn content(&self) -> Content {
        Content::picture(&display::history(self, ""))
    }
}

#[cfg(feature = "pictures")]
impl Show for Vec<Record> {
    fn content(&self) -> Content {
        self.as_slice().content()
    }
}

impl Show for GraphErrors {
    fn content(&self) -> Content {
        Content::text(self)
    }
}

impl Show for Error {
    fn content(&self) -> Content {
        Content::text(self)
    }
}

/// The value, or the error instead.
impl<T: Show, E: Display> Show for std::result::Result<T, E> {
    fn content(&self) -> Content {
        match self {
            Ok(value) => value.content(),
            Err(error) => Content::text(&format!("error: {error}")),
        }
    }
}
